package main

import (
	"sync"
	"time"

	"github.com/dcann/dcann/scripts/chaos/check"
)

// court judges passports as they are finished with, and keeps all that was found. Its methods may be called
// by several goroutines at once.
type court struct {
	first func() // called at the first violation, once
	docks chan *check.Subject
	ended chan struct{}

	mu         sync.Mutex
	subjects   []*check.Subject
	ledger     check.Ledger
	violations []check.Violation
	guilty     map[*check.Subject]bool
	undecided  int
}

// judgePatience is for one passport; most take less than a millisecond.
const judgePatience = 10 * time.Second

func newCourt(first func()) *court {
	c := &court{first: sync.OnceFunc(first), docks: make(chan *check.Subject, 4096), ended: make(chan struct{}), guilty: map[*check.Subject]bool{}}
	go func() {
		defer close(c.ended)
		for s := range c.docks {
			c.judge(s)
		}
	}()
	return c
}

// take brings a subject that no call is about any more.
func (c *court) take(s *check.Subject) { c.docks <- s }

// adjourn waits until all subjects that were taken are judged. There must be no more.
func (c *court) adjourn() {
	close(c.docks)
	<-c.ended
}

func (c *court) judge(s *check.Subject) {
	v := check.Judge(s, judgePatience)
	c.mu.Lock()
	c.subjects = append(c.subjects, s)
	found := append(v.Violations, c.ledger.Enter(s)...)
	if v.Undecided {
		c.undecided++
	}
	if len(found) > 0 {
		c.guilty[s] = true
	}
	c.mu.Unlock()
	for _, f := range found {
		c.add(f)
	}
}

// add takes in a violation.
func (c *court) add(v check.Violation) {
	c.mu.Lock()
	c.violations = append(c.violations, v)
	c.mu.Unlock()
	c.first()
}

// judgeAgain judges all subjects once more, after something was added to them.
func (c *court) judgeAgain() {
	c.mu.Lock()
	subjects := c.subjects
	c.subjects, c.undecided = nil, 0
	c.mu.Unlock()
	for _, s := range subjects {
		if c.guilty[s] { // once is enough
			c.mu.Lock()
			c.subjects = append(c.subjects, s)
			c.mu.Unlock()
			continue
		}
		c.judge(s)
	}
}

func (c *court) found() (violations []check.Violation, subjects, undecided int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.violations, len(c.subjects), c.undecided
}

// acknowledged is how many operations were, each counted once.
func (c *court) acknowledged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.subjects {
		n += len(s.Acked())
	}
	return n
}
