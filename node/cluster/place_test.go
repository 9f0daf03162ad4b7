package cluster

import (
	"path"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a crash leaves beside the state in force would go on to take the disk's space: a checkpoint holds on to files
// that the state has long replaced.
func TestWhatIsNotInForceIsRemovedAtTheNextStart(t *testing.T) {
	t.Parallel()
	for _, inForce := range []string{firstState, statePrefix + "9-1-1"} {
		t.Run(inForce, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			p, err := OpenPlace(fs, "data")
			if err != nil {
				t.Fatal(err)
			}
			if inForce != firstState {
				if err := p.swap(inForce, 9, 1); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{
				"raft", inForce, firstState, // the first state may be what was in force before
				path.Base(p.checkpoint()), path.Base(p.checkpoint()),
				p.receiving(7, 1), p.receiving(8, 1) + partial, pointerFile + tmpSuffix,
			} {
				if err := fs.MkdirAll(fs.PathJoin("data", name, "full"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{"raft", inForce}
			if inForce != firstState {
				want = append(want, pointerFile)
			}
			if p, err = OpenPlace(fs, "data"); err != nil {
				t.Fatal(err)
			}
			left, err := fs.List("data")
			slices.Sort(left)
			slices.Sort(want)
			if err != nil || !slices.Equal(left, want) || p.current != inForce {
				t.Errorf("there are %q, and %s is in force, %v: expected %q", left, p.current, err, want)
			}
		})
	}
}
