package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/node/cluster"
)

// checkData reports whether a registry was begun under data. It refuses a state whose Raft log is gone: a
// log that begins anew would forget what the state had not flushed, and give the node a second vote. The
// error's kind is Invalid.
func checkData(data string) (begun bool, err error) {
	_, err = os.Stat(filepath.Join(data, raftDir))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	place, err := cluster.OpenPlace(vfs.Default, data)
	if err != nil {
		return false, err
	}
	switch held, err := place.Holds(); {
	case err != nil:
		return false, err
	case held:
		return false, invalid("%s holds a state, and the Raft log beside it, %s, is missing: put it back, or restore both from one backup, or wipe both to begin anew", data, filepath.Join(data, raftDir))
	}
	return false, nil
}

// closeDir makes dir if needed and takes from everybody else the permission to look into it: granted
// strands are in the files (DESIGN 5). That of the files goes too, since they may be linked or copied.
func closeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode()&fs.ModeSymlink != 0 || info.Mode()&0o077 == 0 {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()&0o700)
	})
}
