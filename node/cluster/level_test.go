package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// otherRelease is a network on which who is asked by hello answers as a node of another release does.
type otherRelease struct {
	Network
	hello helloReply
}

// Connect implements Network.
func (n otherRelease) Connect(address func(string) (string, bool), answer Answer) (Links, error) {
	links, err := n.Network.Connect(address, answer)
	return &otherReleaseLinks{links, n.hello}, err
}

type otherReleaseLinks struct {
	Links
	hello helloReply
}

// Call implements Links.
func (l *otherReleaseLinks) Call(ctx context.Context, name, method string, request []byte) ([]byte, error) {
	if method == methodHello && l.hello.Begun {
		return reply(l.hello, nil)
	}
	return l.Links.Call(ctx, name, method, request)
}

// Probe implements Prober.
func (l *otherReleaseLinks) Probe(context.Context, string, string, string, []byte) ([]byte, error) {
	return reply(l.hello, nil)
}

// A node of a release that is too old for the level was joined, and stopped at its first entry.
func TestAReleaseThatDoesNotKnowTheLevelIsNotJoined(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, func(_ string, c *Config) {
		c.Net = otherRelease{c.Net, helloReply{MaxLevel: 0, Version: "of old"}}
	})
	leader := f.settled()
	err := leader.Join(inTime(t), Peer{"n4", addressOf("n4")}, false)
	if !errors.Is(err, registry.Conflict) || !strings.Contains(err.Error(), "version of old, which knows levels up to 0, and this registry is at level 1") {
		t.Errorf("joined a node of an old release: %v: expected a conflict that names both levels", err)
	}
	if member(leader.members(), "n4") {
		t.Error("it is a member")
	}
}

// ... and one that had lost its disk and was started with an old release was let in again.
func TestAReleaseThatDoesNotKnowTheLevelDoesNotBegin(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, func(name string, c *Config) {
		if name == "n4" {
			c.Net = otherRelease{c.Net, helloReply{Begun: true, Level: state.MaxLevel + 1, MaxLevel: state.MaxLevel + 1, Version: "to come"}}
		}
	})
	leader := f.settled()
	if err := leader.Join(inTime(t), Peer{"n4", addressOf("n4")}, true); err != nil {
		t.Fatal(err)
	}
	n4 := f.add("n4", true)
	n4.start()
	eventually(t, "n4 begins or gives up", func() bool { return n4.node() != nil || n4.err() != nil })
	if err := n4.err(); !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), "version to come, is at level 2") {
		t.Errorf("n4: %v: expected to be told both levels", err)
	}
}
