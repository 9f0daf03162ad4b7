package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// Record fetches a record; a deactivated or erased one is a tombstone, not an error. The error's kind is
// NotFound, Misdirected, Unavailable or Unverifiable.
func (c *Client) Record(ctx context.Context, id registry.ID) (wire.Record, error) {
	var r wire.Record
	if _, err := c.do(ctx, c.read(wire.RecordPath(id)), maxAnswer, &r); err != nil {
		return wire.Record{}, err
	}
	if r.ID != id {
		return wire.Record{}, fail(registry.Unverifiable, "asked for %s: the registry answered with %.80q", id, r.ID)
	}
	return r, nil
}

// History fetches one page of a record's operations after a seq, nil for the first.
func (c *Client) History(ctx context.Context, id registry.ID, after *uint64, limit int) (wire.History, error) {
	var h wire.History
	_, err := c.do(ctx, c.read(wire.HistoryPath(id, after, limit)), maxPage, &h)
	return h, err
}

// Operations yields all operations of a record, oldest first, page by page. After an error it ends.
func (c *Client) Operations(ctx context.Context, id registry.ID) iter.Seq2[wire.HistoryEntry, error] {
	return func(yield func(wire.HistoryEntry, error) bool) {
		var after *uint64
		for {
			page, err := c.History(ctx, id, after, 0)
			if err != nil {
				yield(wire.HistoryEntry{}, err)
				return
			}
			for _, e := range page.Operations {
				if !yield(e, nil) {
					return
				}
			}
			if page.Next == nil {
				return
			}
			if after != nil && *page.Next <= *after {
				yield(wire.HistoryEntry{}, fail(registry.Unverifiable, "history of %s: the page after seq %d leads to seq %d", id, *after, *page.Next))
				return
			}
			after = page.Next
		}
	}
}

// Organisations fetches one page of the organisations that q selects.
func (c *Client) Organisations(ctx context.Context, q wire.OrganisationQuery) (wire.OrganisationPage, error) {
	var page wire.OrganisationPage
	_, err := c.do(ctx, c.read(q.Path()), maxPage, &page)
	return page, err
}

// Registry fetches who this registry is.
func (c *Client) Registry(ctx context.Context) (wire.Registry, error) {
	var r wire.Registry
	_, err := c.do(ctx, get(wire.PathRegistry), maxAnswer, &r)
	return r, err
}

// Resolve resolves any number of identifiers, wire.MaxResolve to a request, and calls each with every
// answer in their order. An identifier that is refused is no error of the batch. It ends at the first
// error of the connection, of each, or of the request itself.
func (c *Client) Resolve(ctx context.Context, ids []registry.ID, each func(wire.ResolveLine) error) error {
	for len(ids) > 0 {
		n := min(len(ids), wire.MaxResolve)
		if err := c.resolve(ctx, ids[:n], each); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (c *Client) resolve(ctx context.Context, ids []registry.ID, each func(wire.ResolveLine) error) error {
	err := c.retry(ctx, func() error {
		body, err := wire.Encode(ids)
		if err != nil {
			return err
		}
		r := c.read(wire.PathResolve)
		r.method, r.typ, r.body, r.accept = http.MethodPost, wire.TypeJSON, body, wire.TypeNDJSON
		err = c.stream(ctx, r, func(line []byte) error {
			var answer wire.ResolveLine
			if err := wire.Decode(line, &answer); err != nil {
				return err
			}
			if len(ids) == 0 || answer.ID != string(ids[0]) {
				return fail(registry.Unverifiable, "batch: the registry answered with %.80q out of order", answer.ID)
			}
			ids = ids[1:] // answered: not to be asked again
			if err := each(answer); err != nil {
				return stopped{err}
			}
			return nil
		})
		if err == nil && len(ids) > 0 {
			return fail(registry.Unavailable, "batch: the registry ended before it answered %d of the identifiers", len(ids))
		}
		return err
	})
	if s, ok := err.(stopped); ok {
		return s.error
	}
	return err
}

// ResolveDID resolves a DID as the W3C's DID Resolution has it. A deactivated one is a result whose
// metadata says so. When the result holds an error, it is returned as one too: its kind is NotFound,
// Invalid or Internal.
func (c *Client) ResolveDID(ctx context.Context, did string) (wire.Resolution, error) {
	var result wire.Resolution
	err := c.retry(ctx, func() error {
		result = wire.Resolution{}
		return c.resolveDID(ctx, did, &result)
	})
	if err == nil && result.Metadata.Error != nil {
		return result, resolutionError(result.Metadata.Error)
	}
	return result, err
}

func (c *Client) resolveDID(ctx context.Context, did string, result *wire.Resolution) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	r := c.read(wire.PathIdentifiers + did)
	r.base = c.Base()
	r.accept = wire.TypeResolution
	res, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return unreachable(r.base, err)
	case len(body) > maxAnswer:
		return fail(registry.Unverifiable, "the registry's answer is longer than %d bytes", maxAnswer)
	case !wire.IsMediaType(res.Header.Get("Content-Type"), wire.TypeResolution):
		return wire.ReadProblem(res.StatusCode, res.Header, body, now())
	}
	noteFreshness(ctx, res.Header)
	return wire.Decode(body, result)
}

func resolutionError(e *wire.ResolutionError) error {
	kind := registry.Internal
	switch wire.ResolutionCode(strings.TrimPrefix(e.Type, wire.ResolutionBase)) {
	case wire.DIDNotFound:
		kind = registry.NotFound
	case wire.InvalidDID, wire.InvalidDIDURL, wire.InvalidOptions, wire.MethodNotSupported, wire.FeatureNotSupported, wire.RepresentationNotSupported:
		kind = registry.Invalid
	}
	detail := e.Detail
	if detail == "" {
		detail = e.Title
	}
	return fail(kind, "%s", detail)
}
