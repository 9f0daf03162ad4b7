package node

import (
	"errors"
	"strings"
	"testing"
	"time"

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
				if !strings.Contains(err.Error(), part) {
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
