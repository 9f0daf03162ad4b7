package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

var keyRecovered = []byte("dcann-recovered")

// recovered is what a node that went on alone (Recover) keeps of that, beside its log. Should those that it went on
// without come back with their old data, they are a majority of what was. By Raft's rules this node would follow them
// and take back what it has acknowledged since. So it hears nothing of Raft from them, until they are members again.
// Nor does who is let in since: they may count on it as well, and who lets it in tells it so (admitReply).
type recovered struct {
	Without []string `cbor:"1,keyasint"`

	// Of the entry by which it went on, which every node has that was joined since.
	Index uint64 `cbor:"2,keyasint"`
	Term  uint64 `cbor:"3,keyasint"`
}

// recovered is nil in a node that never was.
func (c *Cluster) recovered() (*recovered, error) {
	data, err := c.log.get(keyRecovered)
	if err != nil && notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := new(recovered)
	if err := decode(data, r); err != nil {
		return nil, fmt.Errorf("what this node keeps of having been recovered: %w", err)
	}
	return r, nil
}

// noteRecovered keeps that this node goes on alone, by the entry of that index and term.
func (c *Cluster) noteRecovered(index, term uint64) error {
	before, err := c.recovered()
	if err != nil {
		return err
	}
	r := recovered{Index: index, Term: term}
	if before != nil {
		r.Without = before.Without
	}
	for _, p := range c.cfg.Nodes {
		r.Without = append(r.Without, p.Name)
	}
	configurations, err := c.configurations()
	if err != nil {
		return err
	}
	for _, conf := range configurations {
		for _, s := range conf.Servers {
			r.Without = append(r.Without, string(s.ID))
		}
	}
	slices.Sort(r.Without)
	r.Without = slices.DeleteFunc(slices.Compact(r.Without), func(name string) bool { return name == c.cfg.Name })
	return c.keepRecovered(r)
}

// noteToldRecovered keeps what whoever lets this node in knows of a recovery; nil: of none. What was kept before is of
// an earlier admission, of which nothing came. The members have changed since, and what the present leader says of them
// holds: were they refused because of what was said then, this node could not be told of them. But a leader that knows
// only of an earlier recovery is one of those without which the later one was.
func (c *Cluster) noteToldRecovered(told *recovered) error {
	before, err := c.recovered()
	if err != nil || told == nil || before != nil && before.Term > told.Term {
		return err
	}
	return c.keepRecovered(*told)
}

func (c *Cluster) keepRecovered(r recovered) error {
	data, err := encode(r)
	if err != nil {
		return err
	}
	return c.log.set(keyRecovered, data)
}

// wentOnWithout reports whether this node, or whoever let it in, was recovered without another, and that was not joined
// since.
func (c *Cluster) wentOnWithout(name string) bool {
	r, err := c.recovered()
	return err == nil && r != nil && slices.Contains(r.Without, name) && !member(c.members(), name)
}

// configurations are that of the state and those that follow in the log, of a node that is stopped.
func (c *Cluster) configurations() ([]raft.Configuration, error) {
	all := []raft.Configuration{c.members()}
	applied, _ := c.st.Applied()
	first, err := c.log.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := c.log.LastIndex()
	if err != nil {
		return nil, err
	}
	for i := max(first, applied+1); i <= last; i++ {
		var l raft.Log
		if err := c.log.GetLog(i, &l); err != nil {
			return nil, fmt.Errorf("entry %d of the Raft log: %w", i, err)
		}
		if l.Type == raft.LogConfiguration {
			all = append(all, raft.DecodeConfiguration(l.Data))
		}
	}
	return all, nil
}

// newest is the configuration by which a node that does not run would go on.
func (c *Cluster) newest() (raft.Configuration, error) {
	all, err := c.configurations()
	if err != nil {
		return raft.Configuration{}, err
	}
	return all[len(all)-1], nil
}

// aloneTerm is a term that nobody else comes to: those that are gone may not be, and elect each other from last on.
func aloneTerm(last uint64) uint64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	const elections = 1 << 30
	return last + elections + uint64(binary.BigEndian.Uint32(b[:]))%elections
}

// wary is the caution of a node that was recovered, or let in since: what those say that it went on without does not come to Raft.
type wary struct {
	c    *Cluster
	from *recovered

	mu   sync.Mutex
	said map[string]bool // about whom the operator was told
}

// wary is nil in a node that has nobody to be wary of.
func (c *Cluster) wary() (*wary, error) {
	r, err := c.recovered()
	if err != nil || r == nil || len(r.Without) == 0 || c.cfg.guards.noRecovered {
		return nil, err
	}
	return &wary{c: c, from: r, said: make(map[string]bool)}, nil
}

// refused answers rpc itself, if Raft must not hear of it. No answer tells the other a term: terms must not be led
// to meet.
func (w *wary) refused(rpc raft.RPC) bool {
	q, ok := rpc.Command.(raft.WithRPCHeader)
	if !ok {
		return false
	}
	name := string(q.GetRPCHeader().ID)
	if !slices.Contains(w.from.Without, name) {
		return false
	}
	if w.c.running.Load() == nil { // who is a member is not known yet
		w.respond(rpc, unavailable("node %s has not begun yet", w.c.cfg.Name))
		return true
	}
	if w.newcomer() {
		if w.ledSince(rpc) {
			return false
		}
	} else if member(w.c.members(), name) {
		return false
	} else if q, ok := rpc.Command.(*raft.AppendEntriesRequest); ok {
		switch ours, back := w.shared(q); {
		case ours:
			return false
		case back > 0:
			rpc.Respond(&raft.AppendEntriesResponse{Term: q.Term, LastLog: back, NoRetryBackoff: true}, nil)
			return true
		}
	}
	w.say(name)
	w.respond(rpc, fmt.Errorf("the registry of node %s was recovered without node %s and goes on by itself: %s", w.c.cfg.Name, name, whichSide))
	return true
}

// newcomer reports whether this node was let in and has not yet the entry by which the registry went on. What it has is
// of before, the members too, who may run still with the same data: they are none of those that it was joined to.
func (w *wary) newcomer() bool { return w.c.running.Load().LastIndex() < w.from.Index }

// ledSince reports whether rpc is of a leader of a term since the recovery, to which those of before do not come: it was
// joined after this node was let in. There is nothing here yet by which to know it, and nothing to lose.
func (w *wary) ledSince(rpc raft.RPC) bool {
	switch q := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		return q.Term >= w.from.Term
	case *raft.InstallSnapshotRequest:
		return q.Term >= w.from.Term
	}
	return false
}

// shared tells whether a leader that is no member as far as this node knows is of the history by which this node went
// on: it may be a member again, and to be told so is what this node lacks. If that cannot be told from this message, but
// could from one that follows upon an earlier entry, back is that entry's index.
func (w *wary) shared(q *raft.AppendEntriesRequest) (ours bool, back uint64) {
	prev := q.PrevLogEntry
	if prev < w.from.Index {
		return slices.ContainsFunc(q.Entries, func(l *raft.Log) bool { return l.Index == w.from.Index && l.Term == w.from.Term }), 0
	}
	if prev == w.from.Index {
		return q.PrevLogTerm == w.from.Term, 0
	}
	if last := w.c.running.Load().LastIndex(); prev > last {
		return false, last
	}
	term, err := w.termAt(prev)
	if err != nil {
		return false, 0
	}
	if term != q.PrevLogTerm {
		return false, prev - 1
	}
	return true, 0
}

func (w *wary) termAt(index uint64) (uint64, error) {
	if applied, term := w.c.st.Applied(); applied == index {
		return term, nil
	}
	var l raft.Log
	err := w.c.log.GetLog(index, &l)
	return l.Term, err
}

// whichSide is what the operator is told of two that do not listen to each other. Neither knows which of them is the one to
// go on: the node may have been recovered beside a majority that was only cut off from it.
const whichSide = "these are two sides of a registry, of which one must be stopped, its data directories emptied, and its nodes started and joined to the other. " +
	"Which, is told by dcann cluster status on both: keep the side that has acknowledged writes since they parted (there somebody leads, and more and more entries are committed); what the other has acknowledged is lost"

// say tells the operator, once for each name.
func (w *wary) say(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said[name] {
		return
	}
	w.said[name] = true
	w.c.cfg.OnChange(fmt.Sprintf("node %s, without which the registry of node %s was recovered, runs with its data of before, and is not listened to: %s. If it was joined again and leads by now, this node was away for too long: empty this one's", name, w.c.cfg.Name, whichSide))
}

// respond answers with err, or no to who stands for election.
func (w *wary) respond(rpc raft.RPC, err error) {
	switch q := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		rpc.Respond(&raft.AppendEntriesResponse{}, err)
	case *raft.RequestVoteRequest:
		rpc.Respond(&raft.RequestVoteResponse{Term: q.Term}, nil)
	case *raft.RequestPreVoteRequest:
		rpc.Respond(&raft.RequestPreVoteResponse{Term: q.Term}, nil)
	case *raft.InstallSnapshotRequest:
		go func() { // what follows on the stream would be taken for the next message; it ends with its transport
			_, _ = io.Copy(io.Discard, rpc.Reader)
			rpc.Respond(&raft.InstallSnapshotResponse{}, err)
		}()
	default:
		rpc.Respond(&raft.TimeoutNowResponse{}, err)
	}
}
