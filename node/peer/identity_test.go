package peer

import (
	"bytes"
	"os"
	"testing"
	"time"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(t *testing.T, h *house, c *Config)
		want []string
	}{
		{"wrong name", func(t *testing.T, h *house, c *Config) {
			h.issueAt(t, "n1", h.authority, time.Now(), "n2")
		}, []string{"n1-cert.pem", `is for "n2", "localhost", expected "n1"`}},
		{"name not first", func(_ *testing.T, _ *house, c *Config) { c.Name = "localhost" }, []string{"n1-cert.pem", `"n1"`, `expected "localhost" as the first`}},
		{"expired", func(t *testing.T, h *house, _ *Config) {
			h.issueAt(t, "n1", h.authority, time.Now().Add(-48*time.Hour), "n1")
		}, []string{"n1-cert.pem", "expired on"}},
		{"of the future", func(t *testing.T, h *house, _ *Config) {
			h.issueAt(t, "n1", h.authority, time.Now().Add(48*time.Hour), "n1")
		}, []string{"n1-cert.pem", "valid only from"}},
		{"another CA", func(t *testing.T, h *house, _ *Config) {
			h.issueAt(t, "n1", newHouse(t).authority, time.Now(), "n1")
		}, []string{"n1-cert.pem", "ca.pem", "unknown authority"}},
		{"CA without certificate", func(t *testing.T, h *house, c *Config) { write(t, c.CA, []byte("none")) }, []string{"ca.pem", "at least one certificate"}},
		{"huge CA", func(t *testing.T, h *house, c *Config) { write(t, c.CA, bytes.Repeat([]byte("\n"), maxPEM+1)) }, []string{"ca.pem", "at most"}},
		{"another key", func(t *testing.T, h *house, c *Config) { c.Key = h.issue(t, "n2").Key }, []string{"n1-cert.pem", "n2-key.pem", "does not match"}},
		{"key for everybody", func(t *testing.T, h *house, c *Config) {
			if err := os.Chmod(c.Key, 0o604); err != nil {
				t.Fatal(err)
			}
		}, []string{"node-key", "n1-key.pem", "0604", "0600"}},
		{"no file", func(_ *testing.T, h *house, c *Config) { c.Cert = h.path("none") }, []string{"node-cert", "none.pem", "no such file"}},
		{"bad name", func(_ *testing.T, _ *house, c *Config) { c.Name = "n 1" }, []string{`"n 1"`}},
		{"bad limit", func(_ *testing.T, _ *house, c *Config) { c.MaxConns = -1 }, []string{"-1"}},
		{"bad port", func(_ *testing.T, _ *house, c *Config) { c.Listen = "127.0.0.1:x" }, []string{"node-listen"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			c := h.issue(t, "n1")
			tt.edit(t, h, &c)
			m, err := Open(c)
			if err == nil {
				m.Close()
			}
			mention(t, err, tt.want...)
		})
	}
}

// TestReload moves a registry to another CA by way of a bundle of both, while a connection lives on.
func TestReload(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m1, m2 := open(t, h.issue(t, "n1")), open(t, h.issue(t, "n2"))
	if changed, err := m1.Reload(); changed || err != nil {
		t.Fatalf("nothing changed: %v, %v", changed, err)
	}
	raft1 := m1.Raft()
	echo(t, raft1)
	raft2 := m2.Raft()
	old, err := raft2.Dial(raftTarget(m1), 0)
	if err != nil {
		t.Fatal(err)
	}
	ping(t, old)

	next := newHouse(t)
	oldCA, _ := os.ReadFile(h.path("ca"))
	newCA, _ := os.ReadFile(next.path("ca"))
	h.issueAt(t, "n1", next.authority, time.Now(), "n1")
	changed, err := m1.Reload()
	if changed {
		t.Error("a certificate of another CA was taken")
	}
	mention(t, err, "n1-cert.pem", "ca.pem")
	if changed, err := m1.Reload(); changed || err != nil {
		t.Errorf("the same bad set again: %v, %v, expected silence", changed, err)
	}
	probe, err := raft2.Dial(raftTarget(m1), 0)
	if err != nil {
		t.Fatalf("the old set no longer serves: %v", err)
	}
	ping(t, probe)

	write(t, h.path("ca"), append(oldCA, newCA...))
	for _, m := range []*Mesh{m1, m2} {
		if changed, err := m.Reload(); !changed || err != nil {
			t.Fatalf("%s: %v, %v, expected the new set", m.config.Name, changed, err)
		}
	}
	if probe, err = raft2.Dial(raftTarget(m1), 0); err != nil {
		t.Fatal(err)
	}
	ping(t, probe)
	// From here on only the new CA counts: n2, still with the old one's certificate, is no longer let in.
	write(t, h.path("ca"), newCA)
	if changed, err := m1.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if _, err := raft2.Dial(raftTarget(m1), 0); err == nil {
		t.Error("a certificate of the former CA still opens connections")
	}
	ping(t, old)
}

// TestReloadWaits takes a set that was too new, without another change of the files.
func TestReloadWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := open(t, h.issue(t, "n1"))
	// A certificate has whole seconds: this one is valid in 2 to 3 of them.
	h.issueAt(t, "n1", h.authority, time.Now().Add(backdate+3*time.Second), "n1")
	_, err := m.Reload()
	mention(t, err, "valid only from")
	eventually(t, "the set to be taken when its time came", func() bool {
		changed, err := m.Reload()
		if err != nil {
			t.Fatal(err)
		}
		return changed
	})
}
