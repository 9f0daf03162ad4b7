package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/dcann/dcann/registry"
)

// stream makes the request once and calls each with every line of the answer that is not empty. A stream
// that is silent for Options.Timeout is given up; so is one whose lines are too long.
func (c *Client) stream(ctx context.Context, r call, each func(line []byte) error) error {
	silent := errors.New("silent for " + c.options.Timeout.String())
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	watchdog := time.AfterFunc(c.options.Timeout, func() { giveUp(silent) })
	defer watchdog.Stop()

	r.base = c.Base()
	res, err := c.open(ctx, r)
	if err != nil {
		return silence(ctx, r, silent, err)
	}
	defer res.Body.Close()
	if r.writes {
		c.wrote(res.Header)
	}
	noteFreshness(ctx, res.Header)
	lines := bufio.NewReaderSize(res.Body, 64<<10)
	var long []byte // the beginning of a line that is longer than the buffer
	for {
		part, err := lines.ReadSlice('\n')
		watchdog.Reset(c.options.Timeout)
		if len(long)+len(part) > maxLine {
			return fail(registry.Unverifiable, "a line of the registry's answer is longer than %d bytes", maxLine)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
			continue
		case errors.Is(err, io.EOF):
			if len(long)+len(part) > 0 {
				return fail(registry.Unavailable, "registry %s: the answer ended in the middle of a line", r.base)
			}
			return nil
		case err != nil:
			return silence(ctx, r, silent, unreachable(r.base, err))
		}
		line := part
		if len(long) > 0 {
			line = append(long, part...)
			long = long[:0]
		}
		if line = trimLine(line); len(line) == 0 {
			continue
		}
		if err := each(line); err != nil {
			return err
		}
	}
}

// silence says why the stream was given up, if it was by the watchdog.
func silence(ctx context.Context, r call, silent, err error) error {
	if errors.Is(context.Cause(ctx), silent) {
		return fail(registry.Unavailable, "registry %s: %v", r.base, silent)
	}
	return err
}

func trimLine(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}
