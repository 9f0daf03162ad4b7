package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/dcann/dcann/registry"
)

// The pauses between tries: doubling, with jitter so that many clients do not come back at once.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// retry calls try until it succeeds, fails for good, or Options.Retry is over. Pauses are for when no node
// can answer: while there is another to ask it goes on at once.
func (c *Client) retry(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(c.options.Retry)
	nodes := turns{bases: &c.bases}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		nodes.begin()
		err := try()
		for err != nil && ctx.Err() == nil && nodes.next(err) {
			nodes.begin()
			err = try()
		}
		if err == nil || !passing(err) {
			return err
		}
		wait := max(jitter(pause), retryAfter(err))
		if time.Now().Add(wait).After(deadline) {
			return err
		}
		if sleep(ctx, wait) != nil {
			return err
		}
	}
}

// passing reports whether the same call may succeed later.
func passing(err error) bool {
	return errors.Is(err, registry.Unavailable) || errors.Is(err, registry.Quota)
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// jitter is between half of pause and all of it.
func jitter(pause time.Duration) time.Duration { return pause/2 + rand.N(pause/2) }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
