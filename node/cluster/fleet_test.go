package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// fleet is several nodes in one process, on a network that fails as told.
type fleet struct {
	t        testing.TB
	net      *memNet
	founders []Peer
	change   func(name string, c *Config) // may be nil
	seats    []*seat
}

func addressOf(name string) string { return name + ":7500" }

// startCluster starts n founding members, n1, n2 and so on, their states each in a crashable memory, and waits
// until one leads and has a policy.
func startCluster(t testing.TB, n int, change func(name string, c *Config)) *fleet {
	t.Helper()
	return startClusterOn(t, n, newNet(), inMemory, change)
}

// startClusterOn is startCluster on a network and on file systems for the states that the test brings; nil is
// the disk.
func startClusterOn(t testing.TB, n int, network *memNet, fs func(name string) vfs.FS, change func(name string, c *Config)) *fleet {
	t.Helper()
	f := newFleet(t, n, network, change)
	for _, s := range f.seats {
		if s.fs = nil; fs != nil {
			s.fs = fs(s.name)
		}
		s.start()
	}
	f.prepare()
	return f
}

// inMemory is a crashable memory for the state of every node.
func inMemory(string) vfs.FS { return vfs.NewCrashableMem() }

// newFleet makes the places of n founding members, and starts none of them.
func newFleet(t testing.TB, n int, network *memNet, change func(name string, c *Config)) *fleet {
	t.Helper()
	f := &fleet{t: t, net: network, change: change}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		f.founders = append(f.founders, Peer{name, addressOf(name)})
		f.add(name, false)
	}
	t.Cleanup(func() {
		network.calm()
		for _, s := range f.seats {
			s.halt()
		}
	})
	return f
}

// add makes a place for one more node; start starts it.
func (f *fleet) add(name string, replica bool) *seat {
	s := &seat{f: f, name: name, address: addressOf(name), replica: replica, dir: f.t.TempDir(), fs: inMemory(name)}
	f.seats = append(f.seats, s)
	return s
}

// seat is the place of the node of that name.
func (f *fleet) seat(name string) *seat {
	i := slices.IndexFunc(f.seats, func(s *seat) bool { return s.name == name })
	if i < 0 {
		f.t.Fatalf("there is no %s", name)
	}
	return f.seats[i]
}

// leader waits until a node that may propose leads those that are up and not among but.
func (f *fleet) leader(but ...string) *node {
	f.t.Helper()
	var leader *node
	eventually(f.t, fmt.Sprintf("a leader other than %v", but), func() bool {
		for _, s := range f.seats {
			if n := s.node(); n != nil && !slices.Contains(but, s.name) && n.inOffice() != nil {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// settled waits until all nodes that are up have applied what the leader has, and answer bounded reads, unless a test
// gave them a lease with which they never do.
func (f *fleet) settled() *node {
	f.t.Helper()
	var leader *node
	eventually(f.t, "all nodes have caught up", func() bool {
		leader = f.leader()
		commit := leader.raft.CommitIndex()
		for _, s := range f.seats {
			s.mu.Lock()
			n, up := s.now, s.up
			s.mu.Unlock()
			if up && (n == nil || n.AppliedIndex() < commit || n.Bounded() != nil && n.cfg.LeaseTimeout <= MaxLeaseTimeout || n.leader() != leader.cfg.Name) {
				return false
			}
		}
		return leader.inOffice() != nil
	})
	return leader
}

// followers are the nodes that are up and are not leader.
func (f *fleet) followers(leader *node) (names []string) {
	for _, s := range f.seats {
		if s.node() != nil && s.name != leader.cfg.Name {
			names = append(names, s.name)
		}
	}
	return names
}

// prepare gives the cluster a policy.
func (f *fleet) prepare() {
	f.t.Helper()
	eventually(f.t, "the vote of every founder", func() bool { // one that was late to begin gets it when it has caught up
		for _, p := range f.founders {
			if leader := f.leader(); leader.isNonvoter(p.Name) {
				return false
			}
		}
		return true
	})
	eventually(f.t, "a policy", func() bool {
		ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
		defer cancel()
		return f.leader().prepare(ctx) == nil
	})
}

// write has op accepted through node name, trying as long as a client would.
func (f *fleet) write(name string, op *registry.Operation) {
	f.t.Helper()
	var last error
	defer func() {
		if last != nil {
			f.t.Logf("write through %s: %v", name, last)
		}
	}()
	eventually(f.t, "a write through "+name, func() bool {
		n := f.seat(name).node()
		if n == nil {
			return false
		}
		ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Second)
		defer cancel()
		_, last = n.SubmitOperation(ctx, op)
		if kind := registry.KindOf(last); last != nil && kind != registry.Unavailable {
			f.t.Fatalf("write through %s: %v", name, last)
		}
		return last == nil
	})
}

// fill writes count passports through node name.
func (f *fleet) fill(name string, count int) []*passport {
	f.t.Helper()
	made := make([]*passport, count)
	ops := make([]*registry.Operation, count)
	for i := range made {
		made[i], ops[i] = create()
	}
	inParallel(8, count, func(i int) { f.write(name, ops[i]) })
	return made
}

// mustHold waits until node name shows p as p knows itself.
func (f *fleet) mustHold(name string, all ...*passport) {
	f.t.Helper()
	for _, p := range all {
		eventually(f.t, fmt.Sprintf("%s has %s", name, p.id), func() bool {
			n := f.seat(name).node()
			return n != nil && n.holds(p)
		})
	}
}

// holds reports whether the state shows p as p knows itself.
func (n *node) holds(p *passport) bool {
	n.looking.RLock()
	defer n.looking.RUnlock()
	if n.closed {
		return false
	}
	v, err := n.st.Record(p.id)
	return err == nil && v.Head == p.head
}

// mustAgree compares the states of all nodes, bit by bit.
func (f *fleet) mustAgree() {
	f.t.Helper()
	var report CheckReport
	var err error
	defer func() {
		if err != nil || !report.Equal {
			f.t.Logf("check: %+v, %v", report, err)
		}
	}()
	eventually(f.t, "all states are equal", func() bool {
		report, err = f.settled().Check(f.t.Context(), true)
		return err == nil && report.Equal
	})
}

// voters are the names of those that vote, as node n knows.
func (n *node) voters() (names []string) {
	for _, s := range n.members().Servers {
		if s.Suffrage == raft.Voter {
			names = append(names, string(s.ID))
		}
	}
	slices.Sort(names)
	return names
}

// leads has the named node lead.
func (f *fleet) leads(name string) *node {
	f.t.Helper()
	eventually(f.t, name+" leads", func() bool {
		n := f.leader()
		if n.cfg.Name == name {
			return true
		}
		ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Second)
		defer cancel()
		_ = n.TransferLeadership(ctx, name)
		return false
	})
	return f.settled()
}

// tryWrite has op accepted through node name within d, or says why not.
func (f *fleet) tryWrite(name string, op *registry.Operation, d time.Duration) error {
	n := f.seat(name).node()
	if n == nil {
		return errors.New("it does not run")
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), d)
	defer cancel()
	_, err := n.SubmitOperation(ctx, op)
	return err
}

// inTime is a context for something that is to succeed.
func inTime(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestThreeNodesAreACluster(t *testing.T) {
	t.Parallel()
	f := startClusterOn(t, 3, newNet(), nil, nil)
	var all []*passport
	for _, s := range f.seats {
		all = append(all, f.fill(s.name, 5)...)
	}
	for _, s := range f.seats {
		f.mustHold(s.name, all...)
	}
	f.mustAgree()
	leader := f.leader()
	name := leader.cfg.Name
	f.seat(name).crash(vfs.CrashCloneCfg{})
	p, op := create()
	f.write(f.leader(name).cfg.Name, op)
	f.seat(name).start()
	f.mustHold(name, append(all, p)...)
	f.mustAgree()
}

// Power fails everywhere at once, again and again.
func TestAClusterSurvivesAPowerFailure(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	var all []*passport
	for range 3 {
		all = append(all, f.fill("n1", 20)...)
		for _, s := range f.seats {
			s.crash(vfs.CrashCloneCfg{UnsyncedDataPercent: 30, RNG: rand.New(rand.NewPCG(rand.Uint64(), 1))})
		}
		for _, s := range f.seats {
			s.start()
		}
		f.mustHold("n2", all...)
	}
	f.mustAgree()
}
