package registry

import (
	"testing"
	"time"
)

// A thief with a weak key retires the holder's keys. The recover that undoes this must be able to list
// them as they were: it was compared with the thief's record, which it takes off.
func TestRecoverTakesRetirementBack(t *testing.T) {
	t.Parallel()
	c := newScene(t)
	mine := passport(t, "a b")
	c.do("a", c.draft(Create, mine))
	stolen := passport(t, "a b")
	retired := c.now.Unix()
	stolen.Keys[0].Retired = &retired
	theft := c.do("b", c.draft(Update, stolen))
	c.refuse(Invalid, "", "a", c.draft(Update, mine))
	c.do("a", c.undo(theft, mine))

	// And the other way: what the thief dropped stays retired in the recover.
	c.do("a", c.draft(Update, stolen))
	unlisted := passport(t, "a b")
	unlisted.Keys = nil
	theft = c.do("b", c.draft(Update, unlisted))
	c.refuse(Invalid, "", "a", c.undo(theft, mine))
	c.do("a", c.undo(theft, stolen))
}

// An operation by a weak key is final as soon as the strongest key signed on top of it: nobody outranks
// that. It was announced as undoable for 72 hours.
func TestFinalAtEndsUnderTheStrongestKey(t *testing.T) {
	t.Parallel()
	c := newScene(t)
	final := func(want Millis) {
		t.Helper()
		got, _ := c.h.Lineage(c.id).FinalAt(DefaultRecoveryWindow)
		if got != want {
			t.Errorf("final at %d: expected %d", got, want)
		}
	}
	c.do("a", c.draft(Create, passport(t, "a b")))
	final(0)
	weak := c.now
	x0 := c.do("b", c.draft(Update, passport(t, "a b")))
	final(weak.Add(72 * time.Hour))
	c.do("a", c.draft(Update, passport(t, "a b")))
	final(0)
	c.refuse(Forbidden, "", "a", c.undo(x0, passport(t, "a b")))

	weak = c.now
	x := c.do("b", c.draft(Update, passport(t, "c a b")))
	final(weak.Add(72 * time.Hour))
	y := c.now
	op := c.do("a", c.draft(Update, passport(t, "a b"))) // second in "c a b": c could undo it
	final(y.Add(72 * time.Hour))
	c.refuse(Forbidden, "", "a", c.undo(x, passport(t, "a b")))
	c.do("c", c.undo(op, passport(t, "c a b")))
	final(weak.Add(72 * time.Hour)) // a can undo b again
	c.do("a", c.undo(x, passport(t, "a b")))
	final(0)
}
