package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
	"github.com/dcann/dcann/scripts/chaos/check"
)

// Node is where a node answers.
type Node struct {
	Name string
	URL  string
}

// caller makes the calls of all clients. Unlike registry/client it retries nothing and keeps every header:
// one request is one event. It is safe for concurrent use.
type caller struct {
	http  *http.Client
	start time.Time
	owed  map[string]*atomic.Int64 // calls that each node has not answered yet; the map never changes
}

// errNotSent is of a call that certainly reached no node.
var errNotSent = errors.New("not sent")

// brokenAnswer is an answer that no node may give.
type brokenAnswer struct{ detail string }

func (b *brokenAnswer) Error() string { return b.detail }

func newCaller(nodes []Node, start time.Time) *caller {
	owed := map[string]*atomic.Int64{}
	for _, n := range nodes {
		owed[n.Name] = new(atomic.Int64)
	}
	return &caller{start: start, owed: owed, http: &http.Client{
		// No retries by the transport: it would repeat a read on a connection that broke, which is harmless.
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 128,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *caller) waiting(n Node) int64 { return c.owed[n.Name].Load() }

func (c *caller) now() time.Duration { return time.Since(c.start) }

// submit sends an operation and fills e in.
func (c *caller) submit(ctx context.Context, n Node, op *registry.Operation, e *check.Event) error {
	e.Action, e.Op, e.Prev = check.Submit, op.Name, op.Prev
	var done wire.Submitted
	err := c.call(ctx, http.MethodPost, n, wire.PathOperations, op.Bytes(), e, &done)
	if err != nil || e.Outcome != check.OK {
		return err
	}
	if done.ID != op.ID || done.Op != op.Name || done.Seq != op.Seq || e.Index == 0 {
		return &brokenAnswer{fmt.Sprintf("%s: operation %s, seq %d of %s, is answered with index %d and %+v", n.Name, op.Name, op.Seq, op.ID, e.Index, done)}
	}
	e.Seq, e.Position = done.Seq, done.Position
	return nil
}

// read asks for a record and fills e in.
func (c *caller) read(ctx context.Context, n Node, id registry.ID, level wire.Consistency, minIndex uint64, e *check.Event) error {
	e.Action, e.Level, e.MinIndex = check.Read, level, minIndex
	q := url.Values{wire.ParamConsistency: {string(level)}}
	if minIndex > 0 {
		q.Set(wire.ParamMinIndex, strconv.FormatUint(minIndex, 10))
	}
	var r wire.Record
	err := c.call(ctx, http.MethodGet, n, wire.RecordPath(id)+"?"+q.Encode(), nil, e, &r)
	if err != nil || e.Outcome != check.OK {
		return err
	}
	if r.ID != id || r.Status != registry.Active || r.Head == "" {
		return &brokenAnswer{fmt.Sprintf("%s: asked for %s: answered with %s, %s, head %q", n.Name, id, r.ID, r.Status, r.Head)}
	}
	e.Head, e.Seq, e.Position = r.Head, r.Seq, r.Position
	return nil
}

// history fetches all operations that a node has of a record.
func (c *caller) history(ctx context.Context, n Node, id registry.ID) (map[registry.OpID]uint64, error) {
	var e check.Event
	var page wire.History
	path := wire.HistoryPath(id, nil, wire.MaxPage) + "&" + wire.ParamConsistency + "=" + string(wire.Stale)
	if err := c.call(ctx, http.MethodGet, n, path, nil, &e, &page); err != nil {
		return nil, err
	}
	if e.Outcome != check.OK {
		if e.Refusal == registry.NotFound {
			return nil, nil
		}
		return nil, fmt.Errorf("%s: the operations of %s: %s %s", n.Name, id, e.Outcome, e.Refusal)
	}
	ops := map[registry.OpID]uint64{}
	for _, o := range page.Operations {
		ops[o.Op] = o.Seq
	}
	return ops, nil
}

// maxAnswer is far more than any answer about one of our passports.
const maxAnswer = 4 << 20

// call makes one request. The error is errNotSent, a *brokenAnswer, or nil: all else is an outcome.
func (c *caller) call(ctx context.Context, method string, n Node, path string, body []byte, e *check.Event, answer any) error {
	e.Node, e.Staleness = n.Name, check.NoStaleness
	e.Call, e.Return, e.Outcome = c.now(), check.Open, check.Unknown
	req, err := http.NewRequestWithContext(ctx, method, n.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", wire.TypeOperation)
	}
	c.owed[n.Name].Add(1)
	defer c.owed[n.Name].Add(-1)
	res, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return errNotSent
		}
		return nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil
	}
	returned := c.now()
	e.Index, _ = strconv.ParseUint(res.Header.Get(wire.HeaderIndex), 10, 64)
	e.Staleness = staleness(res.Header.Get(wire.HeaderStaleness))
	if res.StatusCode/100 == 2 {
		if err := wire.Decode(text, answer); err != nil {
			return &brokenAnswer{fmt.Sprintf("%s: %s %s: %s: %v", n.Name, method, path, res.Status, err)}
		}
		e.Outcome, e.Return = check.OK, returned
		return nil
	}
	problem := wire.ReadProblem(res.StatusCode, res.Header, text, time.Now())
	switch problem.Kind {
	case registry.Unavailable:
		return nil
	case registry.Internal, registry.Unverifiable, registry.Unauthorised, registry.Misdirected:
		return &brokenAnswer{fmt.Sprintf("%s: %s %s: %s: %v", n.Name, method, path, res.Status, problem)}
	}
	e.Outcome, e.Return, e.Refusal, e.Head = check.Refused, returned, problem.Kind, problem.Head
	return nil
}

func staleness(header string) time.Duration {
	if header == wire.StalenessUnknown {
		return check.UnknownStaleness
	}
	seconds, err := strconv.ParseUint(header, 10, 32)
	if err != nil {
		return check.NoStaleness
	}
	return time.Duration(seconds) * time.Second
}
