package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

// With 4 s a registry started, was led, and no node of it ever became ready: none was sure that what it showed was
// at most 5 s old.
func TestAnElectionTimeoutWithWhichNobodyIsReadyIsRefused(t *testing.T) {
	t.Parallel()
	of := func(d time.Duration) Config {
		return Config{
			Data: "d", Name: "n1", NodeListen: "127.0.0.1:7500", Nodes: []cluster.Peer{{Name: "n1", Address: "127.0.0.1:7500"}},
			NodeCert: "c", NodeKey: "k", NodeCA: "a", ElectionTimeout: d,
		}
	}
	for _, d := range []time.Duration{0, minElectionTimeout, maxElectionTimeout} {
		if err := of(d).Validate(); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	for _, tt := range []struct {
		d    time.Duration
		want []string
	}{
		{minElectionTimeout - 1, []string{"election-timeout is 49.999999ms", "50ms to 2.5s"}},
		{maxElectionTimeout + 1, []string{"election-timeout is 2.500000001s", "at most 5s old", "at most 2.5s,"}},
		{4 * time.Second, []string{"election-timeout is 4s", "at most 5s old", "at most 2.5s,"}},
	} {
		err := of(tt.d).Validate()
		if !errors.Is(err, registry.Invalid) {
			t.Fatalf("%v: got %v: expected kind invalid", tt.d, err)
		}
		for _, part := range tt.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %q", err, part)
			}
		}
	}
}

func TestTheLongestElectionTimeoutHasTheLongestLease(t *testing.T) {
	t.Parallel()
	c := Config{ElectionTimeout: maxElectionTimeout}
	if lease := c.cluster(nil).LeaseTimeout; lease != cluster.MaxLeaseTimeout {
		t.Errorf("the lease is %v: expected %v", lease, cluster.MaxLeaseTimeout)
	}
}
