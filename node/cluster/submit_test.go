package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

func TestSubmitReturnsTheFirstResultAgain(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	p, op := create()
	first := n.mustSubmit(t, op)
	if first.ID != p.id || first.Op != op.Name || first.Known {
		t.Fatalf("result %+v", first)
	}
	applied := n.AppliedIndex()
	again := n.mustSubmit(t, op)
	if !again.Known || again.Position != first.Position || again.ID != first.ID {
		t.Errorf("the second result is %+v: expected the first, known", again)
	}
	if n.AppliedIndex() != applied {
		t.Error("a known operation was proposed")
	}
}

// Every operation of a chain rests on the one before, which was only just acknowledged.
func TestAChainIsNeverRefused(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, op := create()
			for i := 0; ; i++ {
				if _, err := n.SubmitOperation(t.Context(), op); err != nil {
					t.Errorf("operation %d of a chain: %v", i, err)
					return
				}
				p.moved(op)
				if i == 30 {
					return
				}
				op = p.next(registry.Update)
			}
		})
	}
	wg.Wait()
}

func TestOfRacingOperationsOneWins(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	p, op := create()
	n.mustSubmit(t, op)
	for range 10 {
		const racers = 16
		ops := make([]*registry.Operation, racers)
		for i := range ops {
			ops[i] = p.next(registry.Update)
		}
		errs := make([]error, racers)
		var wg sync.WaitGroup
		for i := range ops {
			wg.Go(func() { _, errs[i] = n.SubmitOperation(t.Context(), ops[i]) })
		}
		wg.Wait()
		winner := -1
		for i, err := range errs {
			if err == nil {
				if winner >= 0 {
					t.Fatalf("both %d and %d won", winner, i)
				}
				winner = i
			}
		}
		if winner < 0 {
			t.Fatalf("nobody won: %v", errs)
		}
		for i, err := range errs {
			var e *registry.Error
			if i != winner && (!errors.As(err, &e) || e.Kind != registry.Conflict || e.Head != ops[winner].Name) {
				t.Errorf("loser got %v: expected a conflict with head %s", err, ops[winner].Name)
			}
		}
		p.moved(ops[winner])
	}
}

func TestUnderLoadManyCommandsShareAnEntry(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	const submitters, each = 128, 4
	ops := make([][]*registry.Operation, submitters)
	for i := range ops {
		for range each {
			_, op := create()
			ops[i] = append(ops[i], op)
		}
	}
	before := n.Status()
	var wg sync.WaitGroup
	for i := range ops {
		wg.Go(func() {
			for _, op := range ops[i] {
				if _, err := n.SubmitOperation(t.Context(), op); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := n.Status()
	commands, batches := s.Commands-before.Commands, s.Batches-before.Batches
	if commands != submitters*each {
		t.Errorf("%d commands proposed: expected %d", commands, submitters*each)
	}
	if batches*4 > commands {
		t.Errorf("%d commands went out in %d batches: expected at least 4 in each", commands, batches)
	}
	if s.UnderWay != 0 || s.Queued != 0 {
		t.Errorf("%d batches and %d commands left behind", s.UnderWay, s.Queued)
	}
}

func TestABatchKeepsItsCaps(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), func(c *Config) { c.BatchCommands, c.Pipeline = 3, 1 })
	var wg sync.WaitGroup
	before := n.Status()
	for range 30 {
		_, op := create()
		wg.Go(func() {
			if _, err := n.SubmitOperation(t.Context(), op); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := n.Status(); s.Batches-before.Batches < 10 {
		t.Errorf("30 commands went out in %d batches of at most 3", s.Batches-before.Batches)
	}
}

func TestABatchKeepsItsBytes(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), func(c *Config) { c.BatchBytes = minBatchBytes })
	p := n.proposer
	big := state.Command{Bytes: make([]byte, minBatchBytes/2)}
	for range 3 {
		p.queue <- proposal{command: big, fate: make(chan fate, 1)}
	}
	p.slots <- struct{}{} // as run does; the fates say that they belong to no tenure
	rest := p.send([]proposal{<-p.queue})
	if len(rest) > 1 {
		t.Errorf("%d proposals carried over", len(rest))
	}
}

// The refusal of a state that lags behind what was acknowledged elsewhere would be false: it is given
// only after the state has caught up.
func TestARefusalIsConfirmedFirst(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	stale := errors.New("refused by a state of the past")
	calls := 0
	_, err := n.submitHere(t.Context(), func(registry.Millis) (state.Proposal, *state.Result, error) {
		if calls++; calls == 1 {
			return state.Proposal{}, nil, stale
		}
		return state.Proposal{}, &state.Result{Known: true}, nil
	})
	if err != nil || calls != 2 {
		t.Errorf("%v after %d checks: expected the second, confirmed check to count", err, calls)
	}
	n.office.Store(nil) // as when the leadership is lost between
	if _, err := n.submitHere(t.Context(), func(registry.Millis) (state.Proposal, *state.Result, error) {
		return state.Proposal{}, nil, stale
	}); registry.KindOf(err) != registry.Unavailable {
		t.Errorf("refused with %v by a node that does not lead", err)
	}
}

func TestNobodyWaitsPastTheDeadline(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	n.log.mu.Lock() // the disk hangs
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p, op := create()
	_, err := n.SubmitOperation(ctx, op)
	n.log.mu.Unlock()
	if registry.KindOf(err) != registry.Unavailable {
		t.Fatalf("got %v: expected unavailable", err)
	}
	n.mustSubmit(t, op) // the same again is safe, whatever became of the first
	n.mustHold(t, p)
}

func TestCloseLetsNobodyHang(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				_, op := create()
				if _, err := n.SubmitOperation(t.Context(), op); err != nil {
					if registry.KindOf(err) != registry.Unavailable {
						t.Errorf("got %v: expected unavailable", err)
					}
					return
				}
			}
		})
	}
	eventually(t, "some writes", func() bool { return n.Status().Commands > 100 })
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// A record that the check relied on moved before Apply: what became of the command is for a second check
// to say.
func TestWhatMovedIsCheckedAgain(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	real := n.proposer
	n.proposer = newProposer(n.Cluster) // not running: the test says what became of the command
	go func() {
		pr := <-n.proposer.queue
		moved := &registry.Error{Kind: registry.Conflict}
		pr.fate <- fate{result: state.Result{Moved: true, Err: moved}, err: moved}
	}()
	calls := 0
	_, err := n.submitHere(t.Context(), func(registry.Millis) (state.Proposal, *state.Result, error) {
		if calls++; calls == 1 {
			return state.TickProposal(), nil, nil
		}
		return state.Proposal{}, &state.Result{Known: true}, nil
	})
	if err != nil || calls != 2 {
		t.Errorf("%v after %d checks: expected the second to count", err, calls)
	}
	n.proposer = real
}
