package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dcann/dcann/registry/wire"
	"github.com/dcann/dcann/scripts/chaos/check"
)

// auditors is how many subjects are looked at at a time.
const auditors = 16

// Audit asks every node for everything that was acknowledged, when nothing is broken any more, and adds one
// last linearizable read of each node to every subject, for check.Judge. What a node cannot show is told to
// Config.Violation; the error says that a node did not answer.
func (l *Load) Audit(ctx context.Context, subjects []*check.Subject) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *check.Subject)
	var all sync.WaitGroup
	for range auditors {
		all.Go(func() {
			for s := range work {
				if err := l.audit(ctx, s); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, s := range subjects {
		if ctx.Err() != nil {
			break
		}
		work <- s
	}
	close(work)
	all.Wait()
	return context.Cause(ctx)
}

// auditor is the number of the client that asks at the end.
const auditor = 1 << 20

func (l *Load) audit(ctx context.Context, s *check.Subject) error {
	acked := s.Acked()
	for _, n := range l.config.Nodes {
		ops, err := l.caller.history(ctx, n, s.ID)
		if err != nil {
			return err
		}
		for _, op := range slices.Sorted(maps.Keys(acked)) {
			if seq, ok := ops[op]; !ok || seq != acked[op].Seq {
				l.config.Violation(check.Violation{Kind: check.Lost, ID: s.ID, Detail: fmt.Sprintf(
					"%s does not have operation %s, seq %d, which %s acknowledged at %v", n.Name, op, acked[op].Seq, acked[op].Node, acked[op].Return.Round(time.Millisecond))})
			}
		}
		e := check.Event{Client: auditor}
		err = l.lastRead(ctx, n, s, &e)
		if err != nil {
			return err
		}
		s.Events = append(s.Events, e)
	}
	return nil
}

// lastRead may be refused for a while by a node that is busy.
func (l *Load) lastRead(ctx context.Context, n Node, s *check.Subject, e *check.Event) error {
	for range 5 {
		*e = check.Event{Client: auditor}
		err := l.caller.read(ctx, n, s.ID, wire.Linearizable, 0, e)
		var broken *brokenAnswer
		if errors.As(err, &broken) {
			l.config.Violation(check.Violation{Kind: check.Broken, ID: s.ID, Detail: broken.detail})
			return nil
		}
		if err == nil && e.Outcome != check.Unknown {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("%s: a linearizable read of %s is not answered", n.Name, s.ID)
}
