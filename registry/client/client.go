package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// Options are the settings of a Client. The zero value of each field means its default.
type Options struct {
	// Transport makes the requests. Default: one of its own like http.DefaultTransport, with as many idle
	// connections to the registry as are used at a time, up to 128.
	Transport http.RoundTripper

	// Timeout is how long one request may take until its answer is read; on a stream, how long it may be
	// silent. Default 30 s.
	Timeout time.Duration

	// Retry is how long a call that is refused as unavailable or over a quota is made again, with growing
	// pauses or after what Retry-After says. It is safe: operations and statements are idempotent. Default
	// 0: the first refusal is returned; of several nodes, that of the last when none can answer now.
	Retry time.Duration

	// Consistency of reads. Default: the registry's, bounded.
	Consistency wire.Consistency

	// UserAgent is sent with every request. Default "dcann".
	UserAgent string
}

// DefaultTimeout is Options.Timeout when none is given.
const DefaultTimeout = 30 * time.Second

// Caps on what is read of an answer, in bytes; a longer one is Unverifiable.
const (
	maxAnswer  = 1 << 20  // one record, one result
	maxPage    = 40 << 20 // a page of history or organisations, wire.MaxPage operations at most
	maxLine    = 1 << 20  // one line of a stream
	maxProblem = 64 << 10
)

// Client is a client of one registry.
type Client struct {
	bases   bases
	http    *http.Client
	options Options
	index   atomic.Uint64 // highest Dcann-Index of this client's own writes: what its reads wait for
}

// New makes a client of the registry at baseURL, http or https with a host and perhaps a path. Of a registry
// of several nodes it may name more than one, with commas between: a node that cannot be reached, or says
// that it cannot answer now, is left for the next at once, and one that answered is asked from then on.
// Reads see what this client wrote, whichever node answers. New opens no connection. The error's kind is
// Invalid.
func New(baseURL string, o Options) (*Client, error) {
	urls, err := parseBases(baseURL)
	if err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.UserAgent == "" {
		o.UserAgent = "dcann"
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 128, 128
		o.Transport = t
	}
	return &Client{
		bases:   bases{urls: urls},
		options: o,
		http: &http.Client{
			Transport: o.Transport,
			// A registry never redirects, and what is signed for one host is not for another to answer.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Base is the URL that paths are appended to; of several, that of the node which the next call asks first.
func (c *Client) Base() string { return c.bases.current() }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request as it is made, perhaps several times.
type call struct {
	base   string // set anew for each try
	method string
	path   string // with query
	body   []byte
	typ    string // media type of body
	accept string
	writes bool // what its answer says was written is for this client's reads to wait for
}

func get(path string) call { return call{method: http.MethodGet, path: path, accept: wire.TypeJSON} }

func post(path, typ string, body []byte) call {
	return call{method: http.MethodPost, path: path, typ: typ, body: body, accept: wire.TypeJSON}
}

// read is call with the consistency that reads ask for, and, once this client has written, the index that
// its own writes are visible from.
func (c *Client) read(path string) call {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	if c.options.Consistency != "" {
		path, sep = path+sep+wire.ParamConsistency+"="+string(c.options.Consistency), "&"
	}
	if index := c.index.Load(); index > 0 {
		path += sep + wire.ParamMinIndex + "=" + strconv.FormatUint(index, 10)
	}
	return get(path)
}

// open makes the request once and returns an answer of status 2xx whose body the caller closes.
func (c *Client) open(ctx context.Context, r call) (*http.Response, error) {
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	return nil, wire.ReadProblem(res.StatusCode, res.Header, body, now())
}

func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, fail(registry.Invalid, "request: %v", err)
	}
	if r.body == nil {
		req.Body, req.ContentLength = nil, 0
	}
	if r.typ != "" {
		req.Header.Set("Content-Type", r.typ)
	}
	req.Header.Set("Accept", r.accept)
	req.Header.Set("User-Agent", c.options.UserAgent)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(r.base, err)
	}
	return res, nil
}

// unreachable is the error of a connection that failed: Unavailable, unless the other end could not prove
// who it is.
func unreachable(base string, err error) error {
	if cause, ok := errors.AsType[*url.Error](err); ok {
		err = cause.Err
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return fail(registry.Unverifiable, "registry %s: %v", base, err)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("registry %s: %w", base, err)
	}
	return fail(registry.Unavailable, "registry %s did not answer: %v", base, err)
}

// once makes the request and reads the whole answer, at most limit bytes.
func (c *Client) once(ctx context.Context, r call, limit int64) ([]byte, *http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	r.base = c.Base()
	res, err := c.open(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, nil, unreachable(r.base, err)
	case int64(len(body)) > limit:
		return nil, nil, fail(registry.Unverifiable, "the registry's answer is longer than %d bytes", limit)
	}
	return body, res, nil
}

// do makes the request, again if Options.Retry says so, and decodes the answer into v.
func (c *Client) do(ctx context.Context, r call, limit int64, v any) (*http.Response, error) {
	var res *http.Response
	err := c.retry(ctx, func() error {
		body, answered, err := c.once(ctx, r, limit)
		if err != nil {
			return err
		}
		res = answered
		noteFreshness(ctx, res.Header)
		return wire.Decode(body, v)
	})
	return res, err
}

// wrote is the index from which on a write is visible; it remembers it. 0: the registry did not say.
func (c *Client) wrote(h http.Header) uint64 {
	index, err := strconv.ParseUint(h.Get(wire.HeaderIndex), 10, 64)
	if err != nil {
		return 0
	}
	c.waitFor(index)
	return index
}

// waitFor makes reads from now on wait for index.
func (c *Client) waitFor(index uint64) {
	for seen := c.index.Load(); index > seen && !c.index.CompareAndSwap(seen, index); seen = c.index.Load() {
	}
}

func fail(kind registry.Kind, format string, args ...any) error {
	return &registry.Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
