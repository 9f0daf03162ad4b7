package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry/state"
)

// hashWait is how long a member may take to apply the entry at which the states are compared.
const hashWait = 10 * time.Second

type checkRequest struct {
	Full bool `cbor:"1,keyasint"`
}

type hashRequest struct {
	Index uint64 `cbor:"1,keyasint"`
	Full  bool   `cbor:"2,keyasint"`
}

type hashReply struct {
	Hash    string `cbor:"1,keyasint"`
	Problem string `cbor:"2,keyasint"`
}

// Check compares the state of all members at one index (DESIGN 8): equal hashes mean that they have written
// the same, byte for byte, since the beginning. With full, every member also reads a checkpoint of its state
// from disk and compares its rows with the hash, which takes minutes on a large state; nothing waits for it.
// Any node may be asked. The error's kind is Unavailable.
func (c *Cluster) Check(ctx context.Context, full bool) (CheckReport, error) {
	done, err := c.use()
	if err != nil {
		return CheckReport{}, err
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.atQuit(cancel)()
	var report CheckReport
	err = c.patiently(ctx, func() (err error) {
		report, err = c.askCheck(ctx, checkRequest{Full: full})
		return err
	})
	return report, err
}

func (c *Cluster) askCheck(ctx context.Context, r checkRequest) (report CheckReport, err error) {
	leader := c.leader()
	switch {
	case c.inOffice() != nil || c.alone() || leader == c.cfg.Name:
		return c.onCheck(ctx, r)
	case leader == "":
		return report, c.because(errNoLeader)
	}
	err = c.call(ctx, leader, methodCheck, r, &report)
	if errors.Is(err, ErrNotSent) {
		err = errNoLeader
	}
	return report, err
}

func (c *Cluster) onCheck(ctx context.Context, r checkRequest) (CheckReport, error) {
	if c.inOffice() == nil {
		return CheckReport{}, c.because(errNoLeader)
	}
	index, err := c.appendTick(ctx)
	if err != nil {
		return CheckReport{}, err
	}
	report := CheckReport{Index: index, Full: r.Full, Equal: true}
	servers := c.members().Servers
	report.Nodes = make([]NodeCheck, len(servers))
	var asked sync.WaitGroup
	for i, s := range servers {
		asked.Go(func() { report.Nodes[i] = c.checkOne(ctx, s, hashRequest{Index: index, Full: r.Full}) })
	}
	asked.Wait()
	slices.SortFunc(report.Nodes, func(a, b NodeCheck) int { return strings.Compare(a.Name, b.Name) })
	own := report.Nodes[slices.IndexFunc(report.Nodes, func(n NodeCheck) bool { return n.Name == c.cfg.Name })].Hash
	for i := range report.Nodes {
		n := &report.Nodes[i]
		if n.Problem == "" && n.Hash != own {
			n.Problem = fmt.Sprintf("its state differs from that of the leader, %s: keep a copy of its data directory to find out why, empty it, and start the node again (without a majority besides it, dcann cluster remove it first)", c.cfg.Name)
		}
		report.Equal = report.Equal && n.Problem == ""
	}
	return report, nil
}

func (c *Cluster) checkOne(ctx context.Context, s raft.Server, r hashRequest) NodeCheck {
	n := NodeCheck{Name: string(s.ID)}
	var answer hashReply
	var err error
	if n.Name == c.cfg.Name {
		answer, err = c.onHash(ctx, r)
	} else {
		err = c.call(ctx, n.Name, methodHash, r, &answer)
	}
	if err != nil {
		answer.Problem = err.Error()
	}
	n.Hash, n.Problem = answer.Hash, answer.Problem
	return n
}

// onHash is the hash of this node's state as of an index, and with Full what a scan of its rows finds.
func (c *Cluster) onHash(ctx context.Context, r hashRequest) (hashReply, error) {
	wait, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	if err := c.WaitIndex(wait, r.Index); err != nil {
		return hashReply{}, err
	}
	hash, ok := c.st.HashAt(r.Index)
	if !ok {
		return hashReply{}, unavailable("node %s no longer knows the hash of its state at index %d: try again", c.cfg.Name, r.Index)
	}
	answer := hashReply{Hash: hexOf(hash)}
	if r.Full {
		if err := c.scan(ctx); err != nil {
			answer.Problem = err.Error()
		}
	}
	return answer, nil
}

// scan reads all rows of a checkpoint, from disk. Any member may ask for it, as often as it likes: there is one at a
// time, and it takes little memory.
func (c *Cluster) scan(ctx context.Context) error {
	if !c.scanning.within(ctx) {
		return unavailable("another check was reading the state of node %s for as long as there was time: try again", c.cfg.Name)
	}
	defer c.scanning.leave()
	if c.place == nil {
		return c.st.VerifyContent(ctx)
	}
	dir := c.place.checkpoint()
	defer func() { _ = c.place.fs.RemoveAll(dir) }()
	if err := c.st.Checkpoint(dir); err != nil {
		return err
	}
	copied, err := state.Open(dir, state.Options{FS: c.place.fs, ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		return err
	}
	err = copied.VerifyContent(ctx)
	if cerr := copied.Close(); err == nil {
		err = cerr
	}
	return err
}
