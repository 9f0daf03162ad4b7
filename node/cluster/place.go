package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Place is where the states of a node lie: the one in force, named by a small file; one that is being
// received beside it; and checkpoints that are being sent. What is not in force is temporary, and removed at
// the next start. Safe for concurrent use.
type Place struct {
	fs      vfs.FS
	dir     string
	current string // name of the directory of the state in force
	index   uint64 // of the state when it was installed; 0: it grew here from nothing
	term    uint64
	count   atomic.Uint64
}

// The names under the directory of a Place.
const (
	firstState   = "state" // of a state that was not received from elsewhere
	pointerFile  = "state.current"
	statePrefix  = "state-"
	checkpoints  = "checkpoint-"
	maxPointer   = 256
	pointerWords = 3
)

// OpenPlace reads which state in dir is in force, and removes what a crash left of others. One process at a
// time uses a directory.
func OpenPlace(fs vfs.FS, dir string) (*Place, error) {
	p := &Place{fs: fs, dir: dir, current: firstState}
	if err := makeDir(fs, dir); err != nil {
		return nil, err
	}
	text, err := readSmall(fs, fs.PathJoin(dir, pointerFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := p.lostPointer(); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		n, err := fmt.Sscanf(text, "%s %d %d\n", &p.current, &p.index, &p.term)
		if err != nil || n != pointerWords || !strings.HasPrefix(p.current, statePrefix) || strings.ContainsAny(p.current, `/\`) {
			return nil, fmt.Errorf("%s: %q: expected the name of a state, its index and term", fs.PathJoin(dir, pointerFile), text)
		}
		if _, err := fs.Stat(p.State()); err != nil {
			return nil, fmt.Errorf("the state in force: %w: %s", err, wipe)
		}
	}
	return p, p.tidy()
}

func readSmall(fs vfs.FS, path string) (string, error) {
	f, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPointer))
	return string(text), errors.Join(err, f.Close())
}

// lostPointer refuses a directory that holds a received state but neither the file that puts it in force nor a
// state that grew here: tidying would take the only one there is.
func (p *Place) lostPointer() error {
	names, err := p.fs.List(p.dir)
	if err != nil || slices.Contains(names, firstState) {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, statePrefix) && !strings.HasSuffix(name, partial) {
			return fmt.Errorf("%s holds %s, and %s, which says whether it is in force, is missing: put it back, or %s", p.dir, name, pointerFile, wipe)
		}
	}
	return nil
}

// partial ends the name of a directory that is being received (node/archive).
const partial = ".partial"

// tidy removes states that are not in force and checkpoints.
func (p *Place) tidy() error {
	names, err := p.fs.List(p.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		stale := strings.HasPrefix(name, statePrefix) || strings.HasPrefix(name, checkpoints) || name == firstState || name == pointerFile+tmpSuffix
		if !stale || name == p.current {
			continue
		}
		if err := p.fs.RemoveAll(p.fs.PathJoin(p.dir, name)); err != nil {
			return fmt.Errorf("remove what is left of an earlier run: %w", err)
		}
	}
	return nil
}

// State is the directory of the state in force.
func (p *Place) State() string { return p.fs.PathJoin(p.dir, p.current) }

// Holds reports whether there is a state, or the place of one.
func (p *Place) Holds() (bool, error) {
	names, err := p.fs.List(p.State())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return len(names) > 0, err
}

// FS is the file system.
func (p *Place) FS() vfs.FS { return p.fs }

// checkpoint is a path for one more checkpoint, which no other Place of this directory has given either.
func (p *Place) checkpoint() string {
	return p.fs.PathJoin(p.dir, fmt.Sprintf("%s%d-%d", checkpoints, time.Now().UnixNano(), p.count.Add(1)))
}

// receiving is the name of a directory for a state as of index and term that comes from elsewhere.
func (p *Place) receiving(index, term uint64) string {
	for {
		name := fmt.Sprintf("%s%d-%d-%d", statePrefix, index, term, p.count.Add(1))
		if _, err := p.fs.Stat(p.fs.PathJoin(p.dir, name)); errors.Is(err, os.ErrNotExist) {
			return name
		}
	}
}

// discard removes a state that is not in force, unless it is after all: a failure to sync is no failure to write.
func (p *Place) discard(name string) error {
	text, err := readSmall(p.fs, p.fs.PathJoin(p.dir, pointerFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) || strings.HasPrefix(text, name+" ") {
		return err
	}
	return p.fs.RemoveAll(p.fs.PathJoin(p.dir, name))
}

// swap puts the state in directory name in force, durably: a crash leaves the old one in force or the new. The
// old one stays open where it is, and is removed at the next OpenPlace.
func (p *Place) swap(name string, index, term uint64) error {
	path := p.fs.PathJoin(p.dir, pointerFile)
	f, err := p.fs.Create(path+tmpSuffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d %d\n", name, index, term)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := p.fs.Rename(path+tmpSuffix, path); err != nil {
		return err
	}
	d, err := p.fs.OpenDir(p.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
