package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config Config
		want   []string // parts of the message; none if it is valid
	}{
		{"defaults", Config{}, nil},
		{"dev", Config{Dev: true, Country: "xz", RecoveryWindow: time.Second}, nil},
		{"a real country needs no policy file later", Config{Country: "fr"}, nil},
		{"http with a port that cannot be", Config{HTTP: "localhost:99999"}, []string{"http", "99999", "65535"}},
		{"cache negative", Config{CacheBytes: -5}, []string{"cache-bytes is -5"}},
		{"cache of nothing", Config{CacheBytes: 1<<20 - 1}, []string{"cache-bytes is 1048575", "at least 1048576"}},
		{"small cache", Config{CacheBytes: 1 << 20}, nil},
		{"dead in a moment", Config{RemoveDeadAfter: 29 * time.Second}, []string{"remove-dead-after is 29s", "at least 30s", "negative"}},
		{"dead soon", Config{RemoveDeadAfter: 30 * time.Second}, nil},
		{"never dead", Config{RemoveDeadAfter: -1}, nil},
		{"http without port", Config{HTTP: "localhost"}, []string{"http", "localhost"}},
		{"half a certificate", Config{TLSCert: "c.pem"}, []string{"tls-cert", "c.pem", "tls-key", `""`}},
		{"dev and a policy", Config{Dev: true, Policy: "p.jwt"}, []string{"dev", "p.jwt"}},
		{"dev in a real country", Config{Dev: true, Country: "fr"}, []string{"dev", "fr", "user-assigned"}},
		{"window without dev", Config{RecoveryWindow: time.Hour}, []string{"recovery-window", "1h0m0s", "dev"}},
		{"window of half a second", Config{Dev: true, RecoveryWindow: 500 * time.Millisecond}, []string{"500ms", "whole seconds"}},
		{"window of a year", Config{Dev: true, RecoveryWindow: 9000 * time.Hour}, []string{"9000h", "720h"}},
		{"no country", Config{Country: "France"}, []string{"France"}},
		{"admin to the world", Config{Admin: "0.0.0.0:7401"}, []string{"0.0.0.0:7401", "loopback"}},
		{"admin without address", Config{Admin: "here"}, []string{"here", "unix:"}},
		{"admin on loopback", Config{Admin: "[::1]:7401"}, nil},
		{"no admin", Config{Admin: AdminOff}, nil},
		{"a socket that no system takes", Config{Admin: "unix:/" + strings.Repeat("x", 200)}, []string{"103 bytes"}},
		{"a name that cannot be", Config{Name: "N 1"}, []string{`name "N 1": expected 1 to 63`}},
		{"an election that takes long, alone", Config{ElectionTimeout: 5 * time.Second}, []string{"election-timeout is 5s"}},
		{"an election in no time, alone", Config{ElectionTimeout: time.Millisecond}, []string{"election-timeout is 1ms: expected 50ms to 2.5s"}},
		{"reached at all addresses", several(Config{NodeAddress: "0.0.0.0:7500"}), []string{`node-address "0.0.0.0:7500": expected an address at which`}},
		{"listens on all", several(Config{NodeListen: "0.0.0.0:7500"}), nil},
		{"no members", several(Config{Nodes: []cluster.Peer{}}), []string{"node is empty"}},
		{"a member twice", several(Config{Nodes: []cluster.Peer{{Name: "n1", Address: "a:1"}, {Name: "n1", Address: "a:2"}}}), []string{"node: n1 is named twice"}},
		{"two at an address", several(Config{Nodes: []cluster.Peer{{Name: "n1", Address: "a:1"}, {Name: "n2", Address: "a:1"}}}), []string{"node: n1 and n2 are both at a:1"}},
		{"a member of a bad name", several(Config{Nodes: []cluster.Peer{{Name: "n1", Address: "a:1"}, {Name: "N2", Address: "a:2"}}}), []string{`node N2=a:2: the name is "N2"`}},
		{"a replica that founds", several(Config{Replica: true}), []string{"replica, and n1 is among"}},
		{"negative grace", Config{ShutdownGrace: -1}, []string{"shutdown-grace", "negative"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Data = "d"
			err := tt.config.Validate()
			if len(tt.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, registry.Invalid) {
				t.Fatalf("got %v: expected kind invalid", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "cluster:") {
					t.Errorf("%q does not name %q", err, part)
				}
			}
		})
	}
}

func TestConfigNeedsData(t *testing.T) {
	t.Parallel()
	if err := (Config{}).Validate(); !errors.Is(err, registry.Invalid) {
		t.Errorf("got %v: expected kind invalid", err)
	}
}

// several is a node of several, but for what c says.
func several(c Config) Config {
	c.Name, c.NodeCert, c.NodeKey, c.NodeCA = "n1", "c", "k", "a"
	if c.NodeListen == "" {
		c.NodeListen = "127.0.0.1:7500"
	}
	if c.Nodes == nil {
		c.Nodes = []cluster.Peer{{Name: "n1", Address: "127.0.0.1:7500"}}
	}
	return c
}
