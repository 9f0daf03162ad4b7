package registry

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"
)

func TestUserAssigned(t *testing.T) {
	t.Parallel()
	for c, want := range map[Country]bool{"aa": true, "zz": true, "qm": true, "qz": true, "xa": true, "xz": true, "xk": false, "ql": false, "fr": false, "ab": false, "zy": false, "": false} {
		if c.UserAssigned() != want {
			t.Errorf("%s: expected %v", c, want)
		}
	}
}

// Identifiers come from anywhere: one that was not parsed must not stop the process.
func TestUnparsedID(t *testing.T) {
	t.Parallel()
	for _, id := range []ID{"", "did:dcann:fr:b", "x"} {
		if id.Country() != "" || id.Create() != "" {
			t.Errorf("%q: %q, %q", id, id.Country(), id.Create())
		}
		wantKind(t, CheckHome(id, "fr"), Misdirected)
	}
	if provider().Subject() != sha256.Sum256([]byte(provider())) {
		t.Error("the subject of an identifier is not its SHA-256")
	}
}

func TestMillis(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 0, 999_999_999, time.UTC)
	m := MillisOf(at)
	if m.Time() != at.Truncate(time.Millisecond) || m.Unix() != at.Unix() || m.Add(time.Second)-m != 1000 {
		t.Errorf("%v is %d", at, m)
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	if k := KindOf(errors.New("disk")); k != Internal {
		t.Errorf("a stranger's error is %s", k)
	}
	_, err := ParseID("x")
	if k := KindOf(errors.Join(errors.New("with"), err)); k != Invalid {
		t.Errorf("a wrapped error is %s", k)
	}
}
