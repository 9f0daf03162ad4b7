package client

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// Result is what a registry said of an operation or statement. Known is true when it had it before, so that
// nothing was done now. From Index on every node shows it, this client's reads among them.
type Result struct {
	wire.Submitted
	Known bool   `json:"-"`
	Index uint64 `json:"-"`
}

// Submit sends an operation. The same operation again gives the same result. The error's kind is any of
// DESIGN 6; Unavailable may also mean that the outcome is unknown, and submitting again finds out.
func (c *Client) Submit(ctx context.Context, operation []byte) (Result, error) {
	return c.submit(ctx, post(wire.PathOperations, wire.TypeOperation, operation))
}

// PostStatus sends a status statement, compact JWS.
func (c *Client) PostStatus(ctx context.Context, statement string) (Result, error) {
	return c.submit(ctx, post(wire.PathStatuses, wire.TypeStatement, []byte(statement)))
}

// PostAcceptance sends a provider's acceptance or withdrawal, compact JWS.
func (c *Client) PostAcceptance(ctx context.Context, statement string) (Result, error) {
	return c.submit(ctx, post(wire.PathAcceptances, wire.TypeStatement, []byte(statement)))
}

func (c *Client) submit(ctx context.Context, r call) (Result, error) {
	var done Result
	res, err := c.do(ctx, r, maxAnswer, &done.Submitted)
	if err != nil {
		return Result{}, err
	}
	done.Index = c.wrote(res.Header)
	done.Known = res.StatusCode == http.StatusOK
	return done, nil
}

// The size of one request of SubmitBatch. Smaller than what a registry takes, so that little is sent
// again after a failure and progress shows.
const (
	batchLines = 1000
	batchBytes = 4 << 20
)

// SubmitBatch sends operations, many to a request, and calls each with every result in their order.
// Operations for one identifier apply in file order; after a failed one those that follow it for the
// same identifier fail with conflict. A result that is refused is no error of the batch.
//
// It ends at the first error of the connection, of each, or of the request itself; what was not answered
// by then may or may not have been done, and may be sent again.
func (c *Client) SubmitBatch(ctx context.Context, operations iter.Seq[[]byte], each func(wire.BatchLine) error) error {
	var body []byte
	lines := 0
	flush := func() error {
		if lines == 0 {
			return nil
		}
		err := c.sendBatch(ctx, body, lines, each)
		body, lines = body[:0], 0
		return err
	}
	for op := range operations {
		if lines == batchLines || len(body)+len(op)+3 > batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		quoted, err := jsontext.AppendQuote(body, op)
		if err != nil {
			return fail(registry.Invalid, "batch: operation is not text: %v", err)
		}
		body = append(quoted, '\n')
		lines++
	}
	return flush()
}

// sendBatch makes one request. When it has to be made again, lines that were answered are not sent again.
func (c *Client) sendBatch(ctx context.Context, body []byte, lines int, each func(wire.BatchLine) error) error {
	answered := 0
	err := c.retry(ctx, func() error {
		rest := body
		for range answered {
			rest = rest[bytes.IndexByte(rest, '\n')+1:]
		}
		r := post(wire.PathBatch, wire.TypeNDJSON, rest)
		r.accept, r.writes = wire.TypeNDJSON, true
		err := c.stream(ctx, r, func(line []byte) error {
			var result wire.BatchLine
			if err := wire.Decode(line, &result); err != nil {
				return err
			}
			answered++
			if result.Index != nil {
				c.waitFor(*result.Index)
			}
			if answered > lines {
				return fail(registry.Unverifiable, "batch of %d operations: the registry answered more", lines)
			}
			if err := each(result); err != nil {
				return stopped{err}
			}
			return nil
		})
		if err == nil && answered < lines {
			return fail(registry.Unavailable, "batch of %d operations: the registry answered %d and ended; the rest is unknown and safe to send again", lines, answered)
		}
		return err
	})
	if s, ok := err.(stopped); ok {
		return s.error
	}
	return err
}

// stopped wraps an error of a caller's function, so that it is not taken for one of the registry and
// tried again.
type stopped struct{ error }

func (s stopped) Error() string { return fmt.Sprintf("stopped: %v", s.error) }
