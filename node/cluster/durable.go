package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// writeDurably replaces the file at path: after a crash it holds either the old bytes or the new.
func writeDurably(path string, data []byte) error {
	tmp := path + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	return renameDurably(tmp, path)
}

// renameDurably moves a synced file into place and syncs the directory, without which the rename may be
// undone by a crash.
func renameDurably(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// makeDir makes dir, and what is missing above it, and syncs its entry in its parent: without that a power failure
// may take the whole directory, however well the files in it were synced. A parent that this process may not
// read was made by an administrator.
func makeDir(on vfs.FS, dir string) error {
	if err := on.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	d, err := on.OpenDir(on.PathDir(dir))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// tmpSuffix marks files that a crash may leave half written; they are removed at start.
const tmpSuffix = ".tmp"

func removeTemporary(dir string) error {
	stale, err := filepath.Glob(filepath.Join(dir, "*"+tmpSuffix))
	if err != nil {
		return err
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
