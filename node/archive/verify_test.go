package archive

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestVerify holds it to what Receive accepts: the whole archive, and none that is cut or altered anywhere.
func TestVerify(t *testing.T) {
	t.Parallel()
	whole := archived(t, small())
	want, err := Receive(vfs.NewMem(), bytes.NewReader(whole), "to", Limits{}, nil)
	must(t, err)
	got, err := Verify(bytes.NewReader(whole))
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("header %+v: expected %+v", got, want)
	}
	for i := range whole {
		altered := bytes.Clone(whole)
		altered[i] ^= 1
		for what, damaged := range map[string][]byte{"cut": whole[:i], "altered": altered} {
			var e *DamagedError
			if _, err := Verify(bytes.NewReader(damaged)); !errors.As(err, &e) {
				t.Fatalf("%s at byte %d: %v, expected a DamagedError", what, i, err)
			}
		}
	}
	if _, err := Verify(bytes.NewReader(append(whole, 0))); err == nil {
		t.Error("an archive with a byte behind it passes")
	}
}
