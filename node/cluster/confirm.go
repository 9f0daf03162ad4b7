package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

type confirmReply struct {
	Term uint64 `cbor:"1,keyasint"` // the newest that the node knows of
}

// confirm returns nil if, at a moment after the call, t's was the newest term that a majority of voters knew of: then
// nobody else could have been elected, and committed anything, before the call. A voter that does not know of the
// term yet says nothing: it may be one that has lost what it knew.
//
// Raft's own VerifyLeader proves less: it counts every answer that arrives, that to a heartbeat which was
// sent before the call included. A leader that was stopped finds such answers in its buffers when it goes on,
// while somebody else leads (DESIGN 9). Here a question is asked after the call and the answer belongs to it.
func (c *Cluster) confirm(ctx context.Context, t *tenure) error {
	if c.cfg.guards.noConfirm {
		return nil
	}
	if c.cfg.guards.bufferedConfirm {
		if err := c.await(ctx, c.raft.VerifyLeader()); err != nil {
			return c.because(errNoLeader)
		}
		return nil
	}
	others, missing := c.majority()
	if missing <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*c.confirmTimeout()) // of the question that a voter is being asked, and of ours
	defer cancel()
	answers := make(chan uint64, len(others))
	for _, name := range others {
		c.confirming.ask(name, answers, c.confirmBy)
	}
	ends := time.NewTicker(tickEvery)
	defer ends.Stop()
	for answered := 0; answered < len(others); {
		select {
		case term := <-answers:
			answered++
			if term != t.term {
				continue
			}
			if missing--; missing == 0 {
				return nil
			}
		case <-ends.C:
			if c.inOffice() != t {
				return c.because(errNoLeader) // somebody else may be asked now, and these not answer for long
			}
		case <-ctx.Done():
			return errUnconfirmed
		}
	}
	return errUnconfirmed
}

var errUnconfirmed = unavailable("leadership was not confirmed by a majority: try again")

// majority are the other voters, and how many of them make a majority with this node.
func (c *Cluster) majority() (others []string, missing int) {
	voters, self := 0, 0
	for _, s := range c.members().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == raft.ServerID(c.cfg.Name) {
			self = 1
		} else {
			others = append(others, string(s.ID))
		}
	}
	return others, voters/2 + 1 - self
}

// confirmTimeout is how long one voter may take to answer.
func (c *Cluster) confirmTimeout() time.Duration { return 2 * c.cfg.HeartbeatTimeout }

// confirmBy asks one voter for the newest term that it knows of; 0: it did not answer. It goes on when a majority has
// answered: a call that is cut off takes its connection with it, and the next reader waits for TLS to set up another.
func (c *Cluster) confirmBy(name string) (term uint64) {
	ctx, cancel := context.WithTimeout(c.living, c.confirmTimeout())
	defer cancel()
	var answer confirmReply
	if err := c.call(ctx, name, methodConfirm, none{}, &answer); err != nil {
		return 0
	}
	return answer.Term
}

// confirmations asks each voter one question at a time. Who comes while one is under way shares the next with all
// others who do: an answer counts only for those who came before its question was asked.
type confirmations struct {
	early bool // guards.earlyConfirm

	mu      sync.Mutex
	waiting map[string][]chan<- uint64 // for the next question to that voter. There is an entry while it is being asked
	ended   bool
	asking  sync.WaitGroup
}

// ask has voter name asked, and what it answers sent to answers, which has room for it.
func (q *confirmations) ask(name string, answers chan<- uint64, by func(name string) uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		answers <- 0
		return
	}
	if q.waiting == nil {
		q.waiting = make(map[string][]chan<- uint64)
	}
	next, busy := q.waiting[name]
	q.waiting[name] = append(next, answers)
	if !busy {
		q.asking.Go(func() { q.serve(name, by) })
	}
}

// serve asks voter name until nobody waits for an answer.
func (q *confirmations) serve(name string, by func(name string) uint64) {
	for {
		asked := q.take(name)
		if len(asked) == 0 {
			return
		}
		term := by(name)
		if q.early {
			q.mu.Lock()
			asked = append(asked, q.waiting[name]...)
			q.waiting[name] = nil
			q.mu.Unlock()
		}
		for _, answers := range asked {
			answers <- term
		}
	}
}

// take are those who wait for the next question. If there are none, none is asked.
func (q *confirmations) take(name string) []chan<- uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	asked := q.waiting[name]
	if len(asked) == 0 {
		delete(q.waiting, name)
		return nil
	}
	q.waiting[name] = nil
	return asked
}

// end waits until nobody is asked any more; then nobody is.
func (q *confirmations) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.asking.Wait()
}

// onConfirm answers with the newest term that this node knows of. It is stored before the node votes in it.
func (c *Cluster) onConfirm(context.Context, none) (confirmReply, error) {
	return confirmReply{Term: c.raft.CurrentTerm()}, nil
}
