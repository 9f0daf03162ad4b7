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
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

const someID = registry.ID("did:dcann:xz:bciqcn66knvkrtm4yq4yxhpgnpgtpk5fmm6yfrrqyo6vb2pd5wkvf3da")

// fake serves f and returns a client of it.
func fake(t *testing.T, o Options, f http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func problem(w http.ResponseWriter, err error) {
	p := wire.ProblemOf(err)
	body, _ := wire.Encode(p)
	w.Header().Set("Content-Type", wire.TypeProblem)
	w.WriteHeader(p.Status)
	w.Write(body)
}

func TestProblemsComeBackTyped(t *testing.T) {
	t.Parallel()
	head := registry.OpIDOf([32]byte{1})
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		problem(w, &registry.Error{Kind: registry.Conflict, Head: head, Detail: "prev is not the head"})
	})
	_, err := c.Submit(t.Context(), []byte("x~"))
	var typed *registry.Error
	if !errors.Is(err, registry.Conflict) || !errors.As(err, &typed) || typed.Head != head {
		t.Fatalf("got %v: expected a conflict that says the head", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Bool
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			elsewhere.Store(true)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	if _, err := c.Record(t.Context(), someID); !errors.Is(err, registry.Unverifiable) {
		t.Errorf("got %v: expected unverifiable", err)
	}
	if elsewhere.Load() {
		t.Error("the redirect was followed")
	}
}

func TestAnswersAreCapped(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", wire.TypeJSON)
		for range maxAnswer/1024 + 2 {
			io.WriteString(w, strings.Repeat(" ", 1024))
		}
	})
	if _, err := c.Registry(t.Context()); !errors.Is(err, registry.Unverifiable) || !strings.Contains(fmt.Sprint(err), "longer") {
		t.Errorf("got %v: expected to be told that the answer is too long", err)
	}
}

func TestLinesAreCapped(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", maxLine+1))
	})
	err := c.Resolve(t.Context(), []registry.ID{someID}, func(wire.ResolveLine) error { return nil })
	if !errors.Is(err, registry.Unverifiable) {
		t.Errorf("got %v: expected unverifiable", err)
	}
}

func TestRecordOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"id":"did:dcann:xz:other"}`)
	})
	if _, err := c.Record(t.Context(), someID); !errors.Is(err, registry.Unverifiable) {
		t.Errorf("got %v: expected unverifiable", err)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		retry time.Duration
		first error
		calls int32
		kind  registry.Kind // "" if it succeeds in the end
	}{
		{"unavailable, and asked to", time.Minute, &registry.Error{Kind: registry.Unavailable}, 2, ""},
		{"quota, and asked to", time.Minute, &registry.Error{Kind: registry.Quota}, 2, ""},
		{"unavailable, and not asked to", 0, &registry.Error{Kind: registry.Unavailable}, 1, registry.Unavailable},
		{"quota that outlasts what was asked", time.Second, &registry.Error{Kind: registry.Quota, RetryAfter: time.Hour}, 1, registry.Quota},
		{"conflict", time.Minute, &registry.Error{Kind: registry.Conflict}, 1, registry.Conflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			c := fake(t, Options{Retry: tt.retry}, func(w http.ResponseWriter, r *http.Request) {
				if body, _ := io.ReadAll(r.Body); string(body) != "op~" {
					t.Errorf("try %d sent %q", calls.Load()+1, body)
				}
				if calls.Add(1) == 1 {
					problem(w, tt.first)
					return
				}
				io.WriteString(w, `{"id":"x","op":"y","seq":0,"position":7}`)
			})
			done, err := c.Submit(t.Context(), []byte("op~"))
			if calls.Load() != tt.calls {
				t.Errorf("%d calls: expected %d", calls.Load(), tt.calls)
			}
			if tt.kind == "" && (err != nil || done.Position != 7) {
				t.Errorf("got %v, %v: expected position 7", done, err)
			}
			if tt.kind != "" && !errors.Is(err, tt.kind) {
				t.Errorf("got %v: expected %s", err, tt.kind)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := New(server.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Registry(t.Context()); !errors.Is(err, registry.Unavailable) || !strings.Contains(fmt.Sprint(err), server.URL) {
		t.Errorf("got %v: expected unavailable, naming the registry", err)
	}
}

func TestReadsWaitForOwnWrites(t *testing.T) {
	t.Parallel()
	operations := [][]byte{[]byte("op~")}
	for _, tt := range []struct {
		name  string
		write func(context.Context, *Client) error
		want  string
	}{
		{"an operation", func(ctx context.Context, c *Client) error {
			_, err := c.Submit(ctx, operations[0])
			return err
		}, "consistency=linearizable&min_index=42"},
		{"a batch", func(ctx context.Context, c *Client) error {
			return c.SubmitBatch(ctx, slices.Values(operations), func(wire.BatchLine) error { return nil })
		}, "consistency=linearizable&min_index=42"},
		{"only reads before", func(ctx context.Context, c *Client) error {
			return errors.Join(
				c.Resolve(ctx, []registry.ID{someID}, func(wire.ResolveLine) error { return nil }),
				c.Events(ctx, Follow{}, func(wire.Event) error { return nil }))
		}, "consistency=linearizable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Value
			c := fake(t, Options{Consistency: wire.Linearizable}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(wire.HeaderIndex, "42")
				switch {
				case strings.HasPrefix(r.URL.Path, wire.PathEvents):
				case r.URL.Path == wire.PathResolve:
					io.WriteString(w, `{"id":"`+string(someID)+`","status":404}`+"\n")
				case r.URL.Path == wire.PathBatch:
					io.WriteString(w, `{"status":201}`+"\n")
				case r.Method == http.MethodGet:
					asked.Store(r.URL.Query().Encode())
					io.WriteString(w, `{"id":"`+string(someID)+`"}`)
				default:
					io.WriteString(w, `{"id":"x","op":"y","seq":0,"position":7}`)
				}
			})
			if err := tt.write(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Record(t.Context(), someID); err != nil {
				t.Fatal(err)
			}
			if got := asked.Load(); got != tt.want {
				t.Errorf("the read asked for %v", got)
			}
		})
	}
}

// TestBatchGoesOnWhereItBroke: a connection that breaks in the middle of a batch costs no operation, and
// none is answered twice.
func TestBatchGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := fake(t, Options{Retry: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		first := calls.Add(1) == 1
		lines := bufio.NewScanner(r.Body)
		for n := 0; lines.Scan(); n++ {
			if first && n == 3 {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprintf(w, `{"status":201,"op":%s}`+"\n", lines.Text())
			w.(http.Flusher).Flush()
		}
	})
	var sent, got []string
	for n := range 8 {
		sent = append(sent, fmt.Sprintf("op-%d", n))
	}
	err := c.SubmitBatch(t.Context(), func(yield func([]byte) bool) {
		for _, op := range sent {
			if !yield([]byte(op)) {
				return
			}
		}
	}, func(l wire.BatchLine) error {
		got = append(got, string(l.Op))
		return nil
	})
	if err != nil || !slices.Equal(got, sent) || calls.Load() != 2 {
		t.Errorf("%d calls, %v, %v: expected 2 calls and every operation answered once", calls.Load(), got, err)
	}
}

func TestBatchIsSentInParts(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) > batchBytes {
			t.Errorf("a request of %d bytes, %v", len(body), err)
		}
		for line := range strings.Lines(string(body)) {
			if len(line) > 10 {
				line = line[:9] + "\"\n"
			}
			fmt.Fprintf(w, `{"status":201,"op":%s}`+"\n", strings.TrimSpace(line))
		}
	})
	got := 0
	each := func(l wire.BatchLine) error {
		if want := fmt.Sprintf("op-%05d", got); string(l.Op) != want {
			return fmt.Errorf("answer %d is of %s", got, l.Op)
		}
		got++
		return nil
	}
	parts := func(n, size int) func(func([]byte) bool) {
		return func(yield func([]byte) bool) {
			for i := range n {
				if !yield([]byte(fmt.Sprintf("op-%05d%s", i, strings.Repeat("x", size)))) {
					return
				}
			}
		}
	}
	if err := c.SubmitBatch(t.Context(), parts(2*batchLines+1, 0), each); err != nil || got != 2*batchLines+1 || calls.Load() != 3 {
		t.Errorf("%d answers in %d requests, %v", got, calls.Load(), err)
	}
	got = 0
	calls.Store(0)
	if err := c.SubmitBatch(t.Context(), parts(300, 30<<10), each); err != nil || got != 300 || calls.Load() != 3 {
		t.Errorf("of 30 KiB each: %d answers in %d requests, %v", got, calls.Load(), err)
	}
}

func TestBatchThatIsCutShort(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"status":201}`+"\n")
	})
	ops := slices.Values([][]byte{[]byte("a"), []byte("b")})
	if err := c.SubmitBatch(t.Context(), ops, func(wire.BatchLine) error { return nil }); !errors.Is(err, registry.Unavailable) {
		t.Errorf("got %v: expected unavailable, since one operation was not answered", err)
	}
}

func TestResolveOutOfOrder(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"id":"did:dcann:xz:other","status":404}`+"\n")
	})
	if err := c.Resolve(t.Context(), []registry.ID{someID}, func(wire.ResolveLine) error { return nil }); !errors.Is(err, registry.Unverifiable) {
		t.Errorf("got %v: expected unverifiable", err)
	}
}

// TestErrorOfTheCallerEnds: an error of the function that takes the lines is returned as it is, even if it
// looks like one that could be tried again.
func TestErrorOfTheCallerEnds(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := fake(t, Options{Retry: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		io.WriteString(w, `{"id":"`+string(someID)+`","status":200}`+"\n")
	})
	own := &registry.Error{Kind: registry.Unavailable, Detail: "the caller's disk is full"}
	err := c.Resolve(t.Context(), []registry.ID{someID}, func(wire.ResolveLine) error { return own })
	if err != error(own) || calls.Load() != 1 {
		t.Errorf("%d calls, %v: expected one call and the caller's error", calls.Load(), err)
	}
}

// TestEventsResume: what a live stream was told before it broke is not told again, and nothing is missing.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if after := r.URL.Query().Get(wire.ParamAfter); after != "" {
			fmt.Sscan(after, &from)
			from++
		}
		calls.Add(1)
		fmt.Fprint(w, "\n") // a heartbeat
		for n := range 2 {
			fmt.Fprintf(w, `{"position":%d,"type":"create","time":"2026-01-01T00:00:00.000Z","subject":"%064x","seq":0}`+"\n", from+n, n)
		}
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var got []uint64
	lost := 0
	err := c.Events(ctx, Follow{Live: true, Disconnected: func(error) { lost++ }}, func(e wire.Event) error {
		if got = append(got, e.Position); len(got) == 5 {
			stop()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(got) < 5 || lost < 2 {
		t.Fatalf("got %v, %v, %d disconnections", got, err, lost)
	}
	for i, position := range got {
		if position != uint64(i) {
			t.Fatalf("got positions %v: expected every one once, in order", got)
		}
	}
}

func TestEventsThatGoBack(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		for range 2 {
			fmt.Fprintf(w, `{"position":3,"type":"create","time":"2026-01-01T00:00:00.000Z","subject":"%064x","seq":0}`+"\n", 1)
		}
	})
	if err := c.Events(t.Context(), Follow{}, func(wire.Event) error { return nil }); !errors.Is(err, registry.Unverifiable) {
		t.Errorf("got %v: expected unverifiable", err)
	}
}

func TestSilentStreamIsGivenUp(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{Timeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	if err := c.Events(t.Context(), Follow{}, func(wire.Event) error { return nil }); !errors.Is(err, registry.Unavailable) || !strings.Contains(fmt.Sprint(err), "silent") {
		t.Errorf("got %v: expected to be told of the silence", err)
	}
}

func TestResolutionErrors(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", wire.TypeResolution+"; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		body, _ := wire.Encode(wire.Resolution{Document: []byte("null"), Metadata: wire.ResolutionMetadata{Error: wire.DIDNotFound.Error("no such passport")}})
		w.Write(body)
	})
	if _, err := c.ResolveDID(t.Context(), string(someID)); !errors.Is(err, registry.NotFound) || err.Error() != "no such passport" {
		t.Errorf("got %v: expected not-found with the registry's words", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "registry.example", "ftp://registry.example", "http://", "http://r.example/?q", "http://r.example/#f", "http://r.example,", "http://r.example,r.example:80"} {
		if _, err := New(base, Options{}); !errors.Is(err, registry.Invalid) {
			t.Errorf("New(%q): %v: expected invalid", base, err)
		}
	}
}
