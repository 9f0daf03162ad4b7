package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// progress shows a person at a terminal how far a long copy is, on one line that it writes over. Others,
// such as the logs of a timer, get nothing.
type progress struct {
	w    io.Writer // nil: nobody looks
	what string
	now  func() time.Time
	told time.Time
}

func (a *app) progress(what string) *progress {
	p := &progress{what: what, now: a.now}
	if f, ok := a.stderr.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.w = f
		}
	}
	return p
}

// at says that done of total bytes are there; total is 0 or less if it is not known.
func (p *progress) at(done, total int64) {
	if p.w == nil || p.now().Sub(p.told) < 200*time.Millisecond {
		return
	}
	p.told = p.now()
	if total > 0 {
		fmt.Fprintf(p.w, "\r%s: %3d %% of %s \x1b[K", p.what, done*100/total, byteCount(total))
	} else {
		fmt.Fprintf(p.w, "\r%s: %s \x1b[K", p.what, byteCount(done))
	}
}

// end takes the line away.
func (p *progress) end() {
	if p.w != nil && !p.told.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// byteCount is n with one digit behind the point, and a unit.
func byteCount(n int64) string {
	value, unit := float64(n), "bytes"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0") + " " + unit
}
