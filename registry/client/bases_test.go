package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// node is one of several that a client is told of.
type node struct {
	*httptest.Server
	calls  atomic.Int32
	handle atomic.Pointer[http.HandlerFunc]
}

func (n *node) does(f http.HandlerFunc) { n.handle.Store(&f) }

// nodes serves so many nodes that accept every operation, and returns a client of all.
func nodes(t *testing.T, count int, o Options) ([]*node, *Client) {
	t.Helper()
	var all []*node
	var urls []string
	for range count {
		n := &node{}
		n.does(accept)
		n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.calls.Add(1)
			(*n.handle.Load())(w, r)
		}))
		t.Cleanup(n.Server.Close)
		all, urls = append(all, n), append(urls, n.URL+"/")
	}
	c, err := New(strings.Join(urls, ", "), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return all, c
}

func accept(w http.ResponseWriter, r *http.Request) {
	if body, _ := io.ReadAll(r.Body); string(body) != "op~" {
		problem(w, &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("sent %q", body)})
		return
	}
	io.WriteString(w, `{"id":"x","op":"y","seq":0,"position":7}`)
}

func refuses(kind registry.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { problem(w, &registry.Error{Kind: kind, Detail: "no"}) }
}

func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func called(all []*node) (n []int32) {
	for _, node := range all {
		n = append(n, node.calls.Load())
	}
	return n
}

// TestNextNode: who asks several nodes asks the next at once when one cannot answer now, without being told
// to try again, and goes on where it was answered.
func TestNextNode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		first http.HandlerFunc // nil: it is gone
		calls []int32          // after two submissions
		kind  registry.Kind    // of the first one's error
	}{
		{"gone", nil, []int32{0, 2, 0}, ""},
		{"hangs up", hangsUp, []int32{1, 2, 0}, ""},
		{"unavailable", refuses(registry.Unavailable), []int32{1, 2, 0}, ""},
		{"a proxy without it", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, []int32{1, 2, 0}, ""},
		{"quota", refuses(registry.Quota), []int32{2, 0, 0}, registry.Quota},
		{"conflict", refuses(registry.Conflict), []int32{2, 0, 0}, registry.Conflict},
		{"internal", refuses(registry.Internal), []int32{2, 0, 0}, registry.Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			all, c := nodes(t, 3, Options{})
			if c.Base() != all[0].URL {
				t.Errorf("the first asked is %s", c.Base())
			}
			if tt.first == nil {
				all[0].Server.Close()
			} else {
				all[0].does(tt.first)
			}
			for range 2 {
				done, err := c.Submit(t.Context(), []byte("op~"))
				if tt.kind == "" && (err != nil || done.Position != 7) || tt.kind != "" && !errors.Is(err, tt.kind) {
					t.Errorf("got %+v, %v: expected kind %q", done, err, tt.kind)
				}
			}
			if got := called(all); !slices.Equal(got, tt.calls) {
				t.Errorf("calls %v: expected %v", got, tt.calls)
			}
			if tt.kind == "" && c.Base() != all[1].URL {
				t.Errorf("asked from now on: %s, expected %s", c.Base(), all[1].URL)
			}
		})
	}
}

// TestNoNode: each is asked once; with time to try again all are, until one answers.
func TestNoNode(t *testing.T) {
	t.Parallel()
	all, c := nodes(t, 3, Options{})
	for _, n := range all {
		n.does(refuses(registry.Unavailable))
	}
	if _, err := c.Submit(t.Context(), []byte("op~")); !errors.Is(err, registry.Unavailable) {
		t.Errorf("got %v: expected unavailable", err)
	}
	if got := called(all); !slices.Equal(got, []int32{1, 1, 1}) {
		t.Errorf("calls %v: expected each once", got)
	}

	all, c = nodes(t, 3, Options{Retry: time.Minute})
	for _, n := range all {
		n.does(refuses(registry.Unavailable))
	}
	all[2].does(func(w http.ResponseWriter, r *http.Request) {
		if all[2].calls.Load() < 3 {
			problem(w, &registry.Error{Kind: registry.Unavailable})
			return
		}
		accept(w, r)
	})
	if done, err := c.Submit(t.Context(), []byte("op~")); err != nil || done.Position != 7 {
		t.Errorf("got %+v, %v", done, err)
	}
	if got := called(all); !slices.Equal(got, []int32{3, 3, 3}) {
		t.Errorf("calls %v: expected each three times", got)
	}
}

// transport makes requests by a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestGivenUpMeansNoOtherNode: when the caller's time is over, no other node is asked.
func TestGivenUpMeansNoOtherNode(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	asked := 0
	c, err := New("http://a.example,http://b.example", Options{Retry: time.Minute, Transport: transport(func(*http.Request) (*http.Response, error) {
		asked++
		<-ctx.Done()
		return nil, ctx.Err()
	})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(ctx, []byte("op~")); err == nil || asked != 1 {
		t.Errorf("got %v after %d requests", err, asked)
	}
}

// TestManyLeaveANodeTogether: calls that fail at once at one node do not push each other past the good one.
func TestManyLeaveANodeTogether(t *testing.T) {
	t.Parallel()
	const many = 16
	all, c := nodes(t, 3, Options{})
	var arrived sync.WaitGroup
	arrived.Add(many)
	all[0].does(func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		arrived.Wait()
		problem(w, &registry.Error{Kind: registry.Unavailable})
	})
	var calls sync.WaitGroup
	for range many {
		calls.Go(func() {
			if _, err := c.Submit(t.Context(), []byte("op~")); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if got := called(all); !slices.Equal(got, []int32{many, many, 0}) {
		t.Errorf("calls %v: expected %v", got, []int32{many, many, 0})
	}
}

// TestBatchGoesOnElsewhere: what one node answered of a batch is not sent to the next.
func TestBatchGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	all, c := nodes(t, 2, Options{})
	answer := func(most int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			in := bufio.NewScanner(r.Body)
			for n := 0; in.Scan(); n++ {
				if n == most {
					panic(http.ErrAbortHandler)
				}
				fmt.Fprintf(w, `{"status":201,"op":%s,"index":%d}`+"\n", in.Text(), 40+n)
				w.(http.Flusher).Flush()
			}
		}
	}
	all[0].does(answer(3))
	all[1].does(answer(99))
	sent := []string{"a", "b", "c", "d", "e"}
	var got []string
	operations := func(yield func([]byte) bool) {
		for _, op := range sent {
			if !yield([]byte(op)) {
				return
			}
		}
	}
	err := c.SubmitBatch(t.Context(), operations, func(l wire.BatchLine) error {
		got = append(got, string(l.Op))
		return nil
	})
	if err != nil || !slices.Equal(got, sent) {
		t.Errorf("got %v, %v", got, err)
	}
	// What every line says of its index is waited for, though no header did.
	all[1].does(func(w http.ResponseWriter, r *http.Request) {
		if index := r.URL.Query().Get(wire.ParamMinIndex); index != "42" {
			t.Errorf("the read waits for %q: expected 42", index)
		}
		io.WriteString(w, `{"id":"`+string(someID)+`"}`)
	})
	if _, err := c.Record(t.Context(), someID); err != nil {
		t.Error(err)
	}
}

// TestEventsGoOnElsewhere: a live stream is taken up at another node, and also begun there.
func TestEventsGoOnElsewhere(t *testing.T) {
	t.Parallel()
	all, c := nodes(t, 3, Options{})
	two := func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if after := r.URL.Query().Get(wire.ParamAfter); after != "" {
			fmt.Sscan(after, &from)
			from++
		}
		for n := range 2 {
			fmt.Fprintf(w, `{"position":%d,"type":"create","time":"2026-01-01T00:00:00.000Z","subject":"%064x","seq":0}`+"\n", from+n, n)
		}
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	all[0].does(refuses(registry.Unavailable))
	all[1].does(two)
	all[2].does(two)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var got []uint64
	lost := 0
	err := c.Events(ctx, Follow{Live: true, Disconnected: func(error) { lost++ }}, func(e wire.Event) error {
		if got = append(got, e.Position); len(got) == 8 {
			stop()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 5, 6, 7}) || all[2].calls.Load() == 0 || lost < 3 {
		t.Errorf("got %v, %v, calls %v, lost %d times", got, err, called(all), lost)
	}

	all, c = nodes(t, 3, Options{})
	for _, n := range all {
		n.does(refuses(registry.Unavailable))
	}
	err = c.Events(t.Context(), Follow{Live: true, Disconnected: func(error) { t.Error("lost what never was") }}, func(wire.Event) error { return nil })
	if !errors.Is(err, registry.Unavailable) || !slices.Equal(called(all), []int32{1, 1, 1}) {
		t.Errorf("no node: %v, calls %v", err, called(all))
	}
}

// TestFreshness: a read tells as of when its answer is to who asks for it.
func TestFreshness(t *testing.T) {
	t.Parallel()
	var header atomic.Value
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(wire.HeaderIndex, "42")
		if value := header.Load().(string); value != "" {
			w.Header().Set(wire.HeaderStaleness, value)
		}
		switch {
		case r.URL.Path == wire.PathResolve:
			io.WriteString(w, `{"id":"`+string(someID)+`","status":404}`+"\n")
		case strings.HasPrefix(r.URL.Path, wire.PathIdentifiers):
			w.Header().Set("Content-Type", wire.TypeResolution)
			io.WriteString(w, `{"didDocument":null,"didResolutionMetadata":{},"didDocumentMetadata":{}}`)
		case strings.HasPrefix(r.URL.Path, wire.PathEvents):
		default:
			io.WriteString(w, `{"id":"`+string(someID)+`","operations":[]}`)
		}
	})
	reads := map[string]func(context.Context) error{
		"record":  func(ctx context.Context) error { _, err := c.Record(ctx, someID); return err },
		"history": func(ctx context.Context) error { _, err := c.History(ctx, someID, nil, 0); return err },
		"resolve": func(ctx context.Context) error {
			return c.Resolve(ctx, []registry.ID{someID}, func(wire.ResolveLine) error { return nil })
		},
		"did":    func(ctx context.Context) error { _, err := c.ResolveDID(ctx, string(someID)); return err },
		"events": func(ctx context.Context) error { return c.Events(ctx, Follow{}, func(wire.Event) error { return nil }) },
	}
	for value, want := range map[string]Freshness{
		"0":                       {42, 0, true},
		"7":                       {42, 7 * time.Second, true},
		"unknown":                 {Index: 42},
		"":                        {Index: 42},
		"-1":                      {Index: 42},
		"soon":                    {Index: 42},
		"99999999999999999999999": {Index: 42},
	} {
		header.Store(value)
		for name, read := range reads {
			got := Freshness{1, time.Hour, true}
			if err := read(WithFreshness(t.Context(), &got)); err != nil || got != want {
				t.Errorf("%s, %q: %+v, %v, expected %+v", name, value, got, err, want)
			}
		}
	}
}

func TestResultTellsIndex(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(wire.HeaderIndex, "42")
		io.WriteString(w, `{"id":"x","op":"y","seq":0,"position":7}`)
	})
	if done, err := c.Submit(t.Context(), []byte("op~")); err != nil || done.Index != 42 {
		t.Errorf("got %+v, %v: expected index 42", done, err)
	}
}
