package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// watched is what is seen from outside while a run goes on.
type watched struct {
	mu      sync.Mutex
	term    uint64
	changes int // of the leader, as often as we looked
}

// watch looks who leads, and tells how it goes every ten seconds.
func (t *trial) watch(ctx context.Context) {
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	tell := time.NewTicker(10 * time.Second)
	defer tell.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			leader, term := t.fleet.Leader(ctx)
			t.watched.mu.Lock()
			if leader != nil && term > t.watched.term {
				if t.watched.term > 0 {
					t.watched.changes++
				}
				t.watched.term = term
			}
			t.watched.mu.Unlock()
		case <-tell.C:
			fmt.Fprintln(t.err, t.progress())
		}
	}
}

func (t *trial) progress() string {
	counts := t.load.Counts()
	violations, subjects, _ := t.court.found()
	faults := 0
	for _, n := range t.nemesis.Done() {
		faults += n
	}
	return fmt.Sprintf("%8v  %d writes acknowledged, %d passports judged, %d faults, %d leaders, %d violations",
		time.Since(t.began).Round(time.Second), counts.Acknowledged, subjects, faults, t.watched.seen()+1, len(violations))
}

func (w *watched) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes
}

// crash is the first line of a node's log that tells of a defect: a node may give up, and says why; it must
// not panic.
func crash(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE", "[signal SIG"} {
			if strings.HasPrefix(lines.Text(), sign) {
				return lines.Text()
			}
		}
	}
	return ""
}
