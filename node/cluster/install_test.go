package cluster

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry/state"
)

// cutLogs has all nodes that are up make their states durable and forget their logs.
func (f *fleet) cutLogs() {
	f.t.Helper()
	for _, s := range f.seats {
		if n := s.node(); n != nil {
			n.compacting.Lock()
			err := n.cutLog(1)
			n.compacting.Unlock()
			if err != nil {
				f.t.Fatalf("%s: cut the log: %v", s.name, err)
			}
		}
	}
}

// trip is a reader that does something once, when it has given at bytes.
type trip struct {
	io.Reader
	at, read int
	do       func() error
}

func (r *trip) Read(p []byte) (int, error) {
	if r.do != nil {
		if r.read >= r.at {
			do := r.do
			r.do = nil
			if err := do(); err != nil {
				return 0, err
			}
		} else {
			p = p[:min(len(p), r.at-r.read)]
		}
	}
	n, err := r.Reader.Read(p)
	r.read += n
	return n, err
}

// altered flips a bit of the first byte of all that it gives at once.
type altered struct{ io.Reader }

func (r altered) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// A node was away for longer than the log reaches back: it gets the whole state, however the first attempt ends.
func TestAStateIsInstalled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// first is what happens to the first stream, a part of which was sent.
		first func(f *fleet, from string, r *trip) error
		disk  func(string) vfs.FS
	}{
		{name: "at once", disk: inMemory},
		{name: "at once, on disks"},
		{name: "after the link was cut", disk: inMemory, first: func(f *fleet, from string, _ *trip) error {
			f.net.cut(from, "n3")
			return nil
		}},
		{name: "after the receiver crashed", disk: inMemory, first: func(f *fleet, _ string, _ *trip) error {
			f.seat("n3").crash(vfs.CrashCloneCfg{})
			return nil
		}},
		{name: "after an altered stream", disk: inMemory, first: func(_ *fleet, _ string, r *trip) error {
			r.Reader = altered{r.Reader}
			return nil
		}},
		{name: "after a stream that failed", disk: inMemory, first: func(*fleet, string, *trip) error {
			return io.ErrUnexpectedEOF
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			network := newNet()
			var f *fleet
			var once sync.Once
			tripped := make(chan struct{})
			network.onInstall = func(from, to string, data io.Reader) io.Reader {
				if tt.first == nil {
					return data
				}
				r := &trip{Reader: data, at: 20_000}
				r.do = func() (err error) {
					once.Do(func() { err = tt.first(f, from, r); close(tripped) })
					return err
				}
				return r
			}
			f = startClusterOn(t, 3, network, tt.disk, nil)
			f.settled()
			before := f.fill("n1", 5)
			f.mustHold("n3", before...)
			f.seat("n3").halt()
			all := append(before, f.fill(f.leader("n3").cfg.Name, 200)...)
			f.cutLogs()
			f.seat("n3").start()
			if tt.first != nil {
				<-tripped
				if f.seat("n3").err() != nil { // it crashed: it starts on the state it had
					f.seat("n3").start()
				}
				network.calm()
			}
			f.mustHold("n3", all...)
			f.mustAgree()
			n3 := f.seat("n3").node()
			if n3.place.index == 0 {
				t.Error("nothing was installed: the test shows nothing")
			}
			n3.mustKeepTheRule(t)
			f.seat("n3").crash(vfs.CrashCloneCfg{}) // what was installed is durable
			f.seat("n3").start()
			f.mustHold("n3", all...)
		})
	}
}

// A deposed leader has a long tail of entries that were never committed. The state that it is sent ends amid that
// tail, which must go.
func TestAnInstallationOverATailOfThePast(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 3, func(_ string, c *Config) { c.guards.noSettle = off })
		f.settled()
		n1 := f.leads("n1")
		all := f.fill("n1", 5)
		f.settled()
		f.net.isolate("n1")
		tick := state.Batch{Time: n1.now(), Commands: []state.Command{state.TickProposal().Command()}}
		data, err := tick.Encode()
		if err != nil {
			t.Fatal(err)
		}
		committed := n1.raft.LastIndex()
		for range 300 {
			n1.raft.Apply(data, 0)
		}
		eventually(t, "n1 is deposed", func() bool { return n1.inOffice() == nil })
		tail := n1.raft.LastIndex()
		other := f.leader("n1")
		for range 10 { // one entry each
			p, op := create()
			f.write(other.cfg.Name, op)
			all = append(all, p)
		}
		for _, name := range f.followers(n1) {
			f.mustHold(name, all...)
		}
		f.cutLogs()
		if last := f.leader("n1").raft.LastIndex(); last >= tail || tail == committed {
			t.Fatalf("the cluster is at %d, the tail ends at %d: the test shows nothing", last, tail)
		}
		f.net.calm()
		if off {
			eventually(t, "n1 does not start on what it was sent", func() bool {
				err := f.seat("n1").err()
				return err != nil && !errors.Is(err, ErrReplaced)
			})
			if err := f.seat("n1").err(); !strings.Contains(err.Error(), "of different histories") {
				t.Errorf("n1 ended with %v", err)
			}
			return
		}
		f.mustHold("n1", all...)
		f.mustAgree()
		if f.seat("n1").node().place.index == 0 {
			t.Error("nothing was installed: the test shows nothing")
		}
		p, op := create()
		f.write("n1", op)
		f.mustHold("n1", p)
	})
}

// Two of three nodes are lost for ever.
func TestALostMajorityIsRecoveredFrom(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	all := f.fill("n2", 20)
	f.mustHold("n1", all...)
	for _, s := range f.seats {
		s.halt()
		if s.name != "n1" {
			s.wipe()
		}
	}
	n1 := f.seat("n1")
	n1.recover()
	f.mustHold("n1", all...)
	p, op := create()
	f.write("n1", op)
	for _, name := range []string{"n2", "n3"} {
		f.seat(name).start()
		eventually(t, name+" waits to be joined", func() bool {
			f.seat(name).mu.Lock()
			defer f.seat(name).mu.Unlock()
			return f.seat(name).waiting != ""
		})
		if err := f.leader().Join(inTime(t), Peer{name, addressOf(name)}, false); err != nil {
			t.Fatalf("join %s: %v", name, err)
		}
		f.mustHold(name, append(all, p)...)
	}
	f.mustAgree()
}
