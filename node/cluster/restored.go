package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/registry"
)

var keyRestored = []byte("dcann-restored")

// restored is what a node that came from a backup keeps of that, beside its log. Such a node has forgotten what
// it may have acknowledged after the backup. If it is restored while others of its registry go on, its old
// vote must not count: so it runs Raft only together with nodes that were restored as it was, each for the
// first time (DESIGN 9, bootstrap-expect).
type restored struct {
	Index uint64 `cbor:"1,keyasint"` // of the backup
	Hash  string `cbor:"2,keyasint"` // of its state
	Life  []byte `cbor:"3,keyasint"` // random, new in every restore of every node

	// With has the lives of all members, this node's too, once the node has run Raft with them.
	With map[string][]byte `cbor:"4,keyasint,omitempty"`
}

// lifeBytes is how long a restored.Life is.
const lifeBytes = 16

// restored is nil in a node that was not restored.
func (c *Cluster) restored() (*restored, error) {
	data, err := c.log.get(keyRestored)
	if err != nil && notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := new(restored)
	if err := decode(data, r); err != nil {
		return nil, fmt.Errorf("what this node keeps of having been restored: %w", err)
	}
	return r, nil
}

// awaitRestored returns when a node that was restored may run Raft.
func (c *Cluster) awaitRestored(ctx context.Context) error {
	mine, err := c.restored()
	if err != nil || mine == nil || mine.With != nil {
		return err
	}
	said := ""
	for {
		with, what, err := c.othersRestored(ctx, mine)
		if err != nil {
			return err
		}
		if with != nil {
			return c.beganRestored(mine, with)
		}
		if what != said {
			said = what
			c.cfg.OnWait(what)
		}
		select {
		case <-time.After(beginPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// beganRestored notes, before Raft runs, with whom this node begins.
func (c *Cluster) beganRestored(r *restored, with map[string][]byte) error {
	r.With = with
	data, err := encode(r)
	if err != nil {
		return err
	}
	return c.log.set(keyRestored, data)
}

// othersRestored asks all members once. with is nil while something is waited for, which what says. The error's
// kind is Invalid when no waiting helps.
func (c *Cluster) othersRestored(ctx context.Context, mine *restored) (with map[string][]byte, what string, err error) {
	with = map[string][]byte{c.cfg.Name: mine.Life}
	var members []Peer
	for _, s := range c.members().Servers {
		members = append(members, Peer{string(s.ID), string(s.Address)})
	}
	met := c.meet(ctx, members, c.greet)
	same := func(r *restored) bool { return r != nil && r.Index == mine.Index && r.Hash == mine.Hash }
	// One that has begun and counts on this node is enough: another may have lost its data since, and know nothing of it.
	for _, m := range met {
		if r := m.hello.Restored; m.err == nil && m.hello.Begun && same(r) && bytes.Equal(r.With[c.cfg.Name], mine.Life) {
			return r.With, "", nil
		}
	}
	var missing []string
	for _, m := range met {
		name, other := m.peer.Name, m.hello
		switch r := other.Restored; {
		case m.err != nil:
			missing = append(missing, fmt.Sprintf("%s (%v)", name, m.err))
		case !other.Begun:
			missing = append(missing, name+" (it has no data: restore the same backup there)")
		case !same(r) || r.With != nil:
			return nil, "", restoredAlone(name, c.cfg.Name)
		default:
			with[name] = r.Life
		}
	}
	if len(missing) > 0 {
		return nil, "the other nodes that are restored: " + strings.Join(missing, ", "), nil
	}
	return with, "", nil
}

func restoredAlone(other, name string) error {
	return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf(
		"node %s goes on with data that are not of the backup from which node %s was restored, or without it: what %s may have acknowledged since that backup is forgotten here. To give a member of a running registry its data back, empty its data directory and start it; to restore a registry, stop all of its nodes and restore the same backup on each",
		other, name, name)}
}

// endRestored lets a node that was restored go on without the others.
func (c *Cluster) endRestored() error {
	mine, err := c.restored()
	if err != nil || mine == nil || mine.With != nil {
		return err
	}
	return c.beganRestored(mine, map[string][]byte{c.cfg.Name: mine.Life})
}

// writeRestored notes it in a log that is new.
func writeRestored(log raft.StableStore, h archive.Header) error {
	r := restored{Index: h.Index, Hash: h.StateHash, Life: make([]byte, lifeBytes)}
	_, _ = rand.Read(r.Life) // it never fails
	data, err := encode(r)
	if err != nil {
		return err
	}
	return log.Set(keyRestored, data)
}
