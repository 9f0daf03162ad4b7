package cluster

import (
	"runtime"
	"testing"
)

// A leader that had stood still answered a follower how far it had committed, after its loop had run again and
// before it doubted its office: the question may have waited while another led.
func TestNobodyIsToldThePastBeforeThePauseIsDoubted(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	n1 := f.leads("n1")
	report := f.seat("n2").node().report()
	// Its loop stands still in fresh.reached, and again in the next round, which finds that it stood still.
	caught := false
	for range 100 {
		if n1.inOffice() == nil {
			n1 = f.leads("n1")
		}
		func() {
			n1.fresh.mu.Lock()
			defer n1.fresh.mu.Unlock()
			noticed := n1.paused.Load()
			eventually(t, "the loop of n1 stands still", n1.pausedNow)
			n1.fresh.mu.Unlock()
			runtime.Gosched()
			n1.fresh.mu.Lock()
			if caught = !n1.pausedNow() && n1.paused.Load() == noticed && n1.inOffice() != nil; !caught {
				return // it was faster
			}
			if reply, err := n1.onFollow("n2", report); err == nil {
				t.Errorf("a leader that does not know yet whether it still leads answered %+v", reply)
			}
		}()
		if caught {
			return
		}
	}
	t.Error("the loop was never stopped where it should be: the test shows nothing")
}
