package cluster

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// leadsUnheard has n1 lead three nodes, of which none can call n1 any more, though it can call them: its messages
// of Raft arrive, and no report of how far the others are, or what their clocks say, comes to it. Unless heirs, none
// is told to lead in its place either.
func leadsUnheard(t *testing.T, heirs bool, change func(name string, c *Config)) (*fleet, *node) {
	t.Helper()
	network := newNet()
	var deaf atomic.Bool
	network.onRPC = func(from, to, rpc string) error {
		if deaf.Load() && !heirs && rpc == "TimeoutNow" && from == "n1" && to != "n1" {
			return errors.New("connection refused")
		}
		return nil
	}
	network.onCall = func(_, to, _ string, _ []byte) error {
		if deaf.Load() && to == "n1" {
			return errors.New("connection refused")
		}
		return nil
	}
	f := startClusterOn(t, 3, network, inMemory, change)
	n2 := f.leads("n2")
	n1 := f.seat("n1").node()
	deaf.Store(true)
	eventually(t, "n1 knows nothing of the others", func() bool {
		_, known := n1.clockOffset(n1.instant())
		return !known
	})
	eventually(t, "n1 leads", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = n2.TransferLeadership(ctx, "n1")
		return n1.raft.State() == raft.Leader
	})
	return f, n1
}

// A leader that the others could not call never took office, and led for ever: nothing could be written.
func TestALeaderThatNobodyCanCallLetsGo(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		said := make(chan string, 1000)
		f, _ := leadsUnheard(t, true, func(name string, c *Config) {
			c.guards.noLetGo = off
			if name == "n1" {
				c.OnChange = func(what string) { said <- what }
			}
		})
		if off {
			f.mustBeStuck("n1")
			return
		}
		_, op := create()
		f.write(f.leader("n1").cfg.Name, op)
		eventually(t, "n1 says why it does not lead", func() bool {
			return len(said) > 0 && strings.Contains(<-said, "reach it at n1:7500")
		})
	})
}

// Nor can it hand over.
func TestALeaderThatNobodyCanCallNorReplaceIsGivenUp(t *testing.T) {
	t.Parallel()
	f, n1 := leadsUnheard(t, false, func(_ string, c *Config) { c.guards.noTransferWatch = true })
	select {
	case <-n1.Done():
	case <-time.After(90 * time.Second):
		t.Fatal("a leader that nobody can call and that cannot hand over does not end")
	}
	if !strings.Contains(n1.Err().Error(), "n1:7500") {
		t.Errorf("it ended with %v: expected where the others cannot reach it", n1.Err())
	}
	_, op := create()
	f.write(f.leader("n1").cfg.Name, op)
}
