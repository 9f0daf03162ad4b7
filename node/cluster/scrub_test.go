package cluster

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/registry"
)

// filesWith names the files under dir that hold needle.
func filesWith(t *testing.T, dir string, needle []byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, needle) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestErasedBytesLeaveEveryFile(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	p, op := create()
	secret := []byte(op.Message().Compact()) // as it lies in the log: the whole signed text
	n.mustSubmit(t, op)
	var others []*passport
	for range 50 {
		q, op := create()
		n.mustSubmit(t, op)
		others = append(others, q)
	}
	if len(filesWith(t, n.dir, secret)) == 0 {
		t.Fatal("the signed text is in no file: the test shows nothing")
	}
	deactivate := p.next(registry.Deactivate)
	n.mustSubmit(t, deactivate)
	p.moved(deactivate)
	if err := n.eraseWhenFinal(p); err != nil {
		t.Fatal(err)
	}
	scrub(t, n)
	key := []byte(p.key.Public().Multikey())
	for _, needle := range [][]byte{secret, key, op.RecordJSON()} {
		if found := filesWith(t, n.dir, needle); len(found) > 0 {
			t.Errorf("%.20q… is still in %v", needle, found)
		}
	}
	n.mustKeepTheRule(t)
	n.restart(t, nil)
	for _, q := range others {
		n.mustHold(t, q)
	}
	before := n.Status().LogFirst
	scrub(t, n) // nothing was erased since; remembered across the restart
	if got := n.Status().LogFirst; got != before {
		t.Errorf("a second scrub cut the log from %d to %d", before, got)
	}
}

func scrub(t *testing.T, n *node) {
	t.Helper()
	if err := n.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := n.Status().Scrubbed, n.st.ErasureIndex(); got != want {
		t.Errorf("scrubbed up to %d: expected %d", got, want)
	}
}

// rewrite copies the keys it knows. This fails when Raft learns a new one, or this package: without what a node keeps
// of having been restored, others of that backup would believe that it was not.
func TestEveryStableKeyIsCopied(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	if err := errors.Join(writeRestored(n.log.db, archive.Header{}), n.noteRecovered(1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(n.log.path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("conf")).ForEach(func(k, _ []byte) error {
			if !slices.Contains(stableKeys, string(k)) {
				t.Errorf("Raft keeps %q, which rewrite does not copy", k)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
