package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLongestTimeWithoutAWrite(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		acked     []time.Duration
		gap, from time.Duration
	}{
		"none at all":     {nil, 100 * ms, 0},
		"in the middle":   {[]time.Duration{1 * ms, 2 * ms, 60 * ms, 98 * ms}, 58 * ms, 2 * ms},
		"out of order":    {[]time.Duration{60 * ms, 1 * ms, 98 * ms, 2 * ms}, 58 * ms, 2 * ms},
		"never again":     {[]time.Duration{1 * ms, 20 * ms}, 80 * ms, 20 * ms},
		"one is too late": {[]time.Duration{50 * ms, 90 * ms, 150 * ms}, 60 * ms, 90 * ms},
	} {
		if gap, from := longest(c.acked, 100*ms); gap != c.gap || from != c.from {
			t.Errorf("%s: %v from %v on: expected %v from %v", name, gap, from, c.gap, c.from)
		}
	}
}

// What one node refuses is sent to the next, the same bytes, and counts once; a read is not sent again.
func TestGapWritesGoOnElsewhere(t *testing.T) {
	t.Parallel()
	var refused sync.Map // bodies
	var taken, strangers atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		refused.Store(string(body), true)
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"type":"https://dcann.org/problems/unavailable","title":"t","status":503}`)
	}))
	t.Cleanup(busy.Close)
	leads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, ok := refused.Load(string(body)); r.Method == http.MethodPost && !ok {
			strangers.Add(1)
		}
		if taken.Add(1); r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(leads.Close)
	targets, err := parseBenchTargets([]string{busy.URL, leads.URL})
	if err != nil {
		t.Fatal(err)
	}
	g := &gap{
		writeTo: targets, readFrom: targets[:1], writers: 1, writeRate: 100, readRate: 50, duration: 200 * time.Millisecond,
		people: &benchPeople{seed: "gap", country: "xz", provider: benchTestProvider}, ids: benchIDs(strings.Repeat("a", benchIDLine-1) + "\n"),
	}
	r := g.run(t.Context())
	// Only the first write meets the node that refuses: its client stays where it was taken.
	if r.WriteTries["503 unavailable"] != 1 || int64(r.Writes) != taken.Load() || r.Writes < 2 || r.Unfinished != 0 {
		t.Errorf("%d writes acknowledged of %d taken, tried again: %v, %d unfinished: expected all, after one refusal", r.Writes, taken.Load(), r.WriteTries, r.Unfinished)
	}
	if got := strangers.Load(); got != int64(r.Writes-1) {
		t.Errorf("%d of %d writes had not been refused before: expected all but the first", got, r.Writes)
	}
	if r.Reads != 0 || r.ReadFailed == 0 || r.ReadErrors[targets[0].address+" 503 unavailable"] != r.ReadFailed {
		t.Errorf("%d reads answered, failed: %v: expected every one to be refused once", r.Reads, r.ReadErrors)
	}
}

func TestReportsAddUp(t *testing.T) {
	t.Parallel()
	one := &benchReport{Seconds: 2, Requests: 3, Items: 3, Errors: map[string]int{"429 quota": 1}}
	two := &benchReport{Seconds: 4, Requests: 5, Items: 5, Errors: map[string]int{"429 quota": 2, "503": 1}}
	for i := range 3 {
		one.latency.add(time.Duration(i+1) * time.Millisecond)
	}
	for range 5 {
		two.latency.add(10 * time.Millisecond)
	}
	sum := sumReports([]*benchReport{one, two})
	if sum.Requests != 8 || sum.Seconds != 4 || sum.PerSecond != 2 || sum.Errors["429 quota"] != 3 || sum.Errors["503"] != 1 {
		t.Errorf("sum %+v: expected 8 answers in 4 s, 3 over quota and one 503", sum)
	}
	if sum.P50Micros < 9e3 || sum.MaxMicros > 11e3 {
		t.Errorf("median %.0f µs, most %.0f µs: expected both near 10,000", sum.P50Micros, sum.MaxMicros)
	}
}
