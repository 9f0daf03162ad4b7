package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// watchedNet is a Network that counts the questions for a confirmation which go out on it, and those that it answers.
type watchedNet struct {
	Network
	mu       sync.Mutex
	asked    map[string]int // by the name of who was asked, still open ones too
	open     map[string]int
	most     int // of the questions to one node that were open at once
	answered int
	given    int // up by who asked
}

func (w *watchedNet) Connect(address func(string) (string, bool), answer Answer) (Links, error) {
	links, err := w.Network.Connect(address, func(ctx context.Context, from, method string, request []byte) ([]byte, error) {
		reply, err := answer(ctx, from, method, request)
		if method == methodConfirm {
			w.count(func() { w.answered++ })
		}
		return reply, err
	})
	return &watchedLinks{links, w}, err
}

func (w *watchedNet) count(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// is reports what holds reports of the counters.
func (w *watchedNet) is(holds func() bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return holds()
}

type watchedLinks struct {
	Links
	net *watchedNet
}

func (l *watchedLinks) Call(ctx context.Context, name, method string, request []byte) ([]byte, error) {
	if method != methodConfirm {
		return l.Links.Call(ctx, name, method, request)
	}
	w := l.net
	w.count(func() { w.asked[name]++; w.open[name]++; w.most = max(w.most, w.open[name]) })
	reply, err := l.Links.Call(ctx, name, method, request)
	w.count(func() {
		w.open[name]--
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			w.given++
		}
	})
	return reply, err
}

// watch has the nodes' networks watched.
func watch(names ...string) (nets map[string]*watchedNet, change func(name string, c *Config)) {
	nets = make(map[string]*watchedNet)
	for _, name := range names {
		nets[name] = &watchedNet{asked: map[string]int{}, open: map[string]int{}}
	}
	return nets, func(name string, c *Config) {
		if w := nets[name]; w != nil {
			w.Network, c.Net = c.Net, w
		}
	}
}

// Each confirmed read gave up its question to the slower voter, and with it that voter's connection, which the next
// read had to set up again: most of what a leader did was TLS handshakes.
func TestAConfirmedReadGivesUpNoQuestion(t *testing.T) {
	t.Parallel()
	nets, change := watch("n1")
	f := startCluster(t, 3, change)
	f.settled()
	n1, w := f.leads("n1"), nets["n1"]
	f.net.cutOneWay("n3", "n1") // its answers are late
	const reads = 50
	for range reads {
		if err := n1.ReadIndex(inTime(t)); err != nil {
			t.Fatal(err)
		}
	}
	f.net.mend("n3", "n1")
	eventually(t, "no question is open", func() bool { return w.is(func() bool { return w.open["n2"]+w.open["n3"] == 0 }) })
	if !w.is(func() bool { return w.asked["n3"] > 0 }) {
		t.Fatal("n3 was never asked: the test shows nothing")
	}
	w.is(func() bool {
		if w.given > 0 {
			t.Errorf("%d questions were given up: %v were asked for %d reads", w.given, w.asked, reads)
		}
		if w.most > 1 {
			t.Errorf("%d questions to one voter were under way at once: expected one, which the reads share", w.most)
		}
		return true
	})
}

// A question to a slow voter is under way, and was answered there, when another leader is elected. The answer arrives when
// somebody reads who came after that: it is true, and of the past.
func TestAnAnswerToAnEarlierReaderConfirmsNothing(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		nets, change := watch("n1", "n2", "n3")
		network := newNet()
		network.timeout = time.Minute // the answer arrives, however late
		f, n1, p := deposedOn(t, network, guards{earlyConfirm: off}, change, func(f *fleet, n1 *node) {
			f.net.cutOneWay("n3", "n1")
			before := nets["n3"].sum()
			if err := n1.ReadIndex(inTime(t)); err != nil { // by n2
				t.Fatal(err)
			}
			eventually(t, "n3 has answered", func() bool { return nets["n3"].sum() > before })
		})
		mustReadTruly(t, n1, p, off, func(ctx context.Context) error {
			before := nets["n2"].sum()
			answer := make(chan error, 1)
			go func() { answer <- n1.ReadIndex(ctx) }()
			eventually(t, "n2 was asked", func() bool { return nets["n2"].sum() > before })
			f.net.mend("n3", "n1")
			return <-answer
		})
	})
}

// sum is how many questions were answered.
func (w *watchedNet) sum() (n int) {
	w.count(func() { n = w.answered })
	return n
}
