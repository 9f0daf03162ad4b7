package client

import (
	"context"
	"errors"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// Follow says which events to read.
type Follow struct {
	// After is the position after which to begin; nil for the first entry of the journal.
	After *uint64
	// Live goes on with what happens from now on; without it the call ends with the journal.
	Live bool
	// Disconnected is called with the reason before a live stream is taken up again; may be nil.
	Disconnected func(error)
}

// Events calls each with every entry of the journal, in order, without a gap and never twice. A live
// stream that breaks is taken up where it was, for ever; it ends with ctx, with the first error of each,
// with one that trying again does not help, or when the first connection cannot be made to any node.
//
// The error's kind is Unverifiable when the registry's positions do not rise.
func (c *Client) Events(ctx context.Context, f Follow, each func(wire.Event) error) error {
	after, pause, connected := f.After, firstPause, false
	nodes := turns{bases: &c.bases}
	read := func() error {
		r := c.read(wire.EventsPath(after, 0, f.Live))
		r.accept = wire.TypeNDJSON
		return c.stream(ctx, r, func(line []byte) error {
			var e wire.Event
			if err := wire.Decode(line, &e); err != nil {
				return err
			}
			if after != nil && e.Position <= *after {
				return fail(registry.Unverifiable, "events: position %d came after %d", e.Position, *after)
			}
			after, pause, connected, nodes.failed = &e.Position, firstPause, true, 0
			if err := each(e); err != nil {
				return stopped{err}
			}
			return nil
		})
	}
	for {
		started := now()
		nodes.begin()
		err := read()
		if err == nil || now().Sub(started) > c.options.Timeout { // it was there, with nothing to tell
			connected = true
		}
		var s stopped
		switch {
		case errors.As(err, &s):
			return s.error
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && !f.Live:
			return nil
		case err == nil:
			err = fail(registry.Unavailable, "the registry ended the stream")
		}
		again := nodes.next(err)
		if !again && (!f.Live || !passing(err) || !connected) {
			return err
		}
		if f.Disconnected != nil && connected && f.Live {
			f.Disconnected(err)
		}
		if again {
			continue
		}
		if err := sleep(ctx, max(jitter(pause), min(retryAfter(err), lastPause))); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// now is for Retry-After dates and pauses only: nothing that is signed or kept depends on it.
func now() time.Time { return time.Now() }
