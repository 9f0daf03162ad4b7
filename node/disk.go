package node

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dcann/dcann/registry"
)

// diskEvery is how often the free space is looked at.
const diskEvery = 250 * time.Millisecond

// diskWatch refuses writes while there is still room: Raft and the state cannot carry on after a failed
// write, so the last bytes of a disk are never given to clients. Safe for concurrent use.
type diskWatch struct {
	dir  string
	min  uint64
	free atomic.Uint64
	low  atomic.Bool
}

func watchDisk(dir string, min uint64) (*diskWatch, error) {
	d := &diskWatch{dir: dir, min: min}
	return d, d.look()
}

// look reads the free space that this user may fill, in bytes.
func (d *diskWatch) look() error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.dir, &st); err != nil {
		return err
	}
	free := uint64(st.Bavail) * uint64(st.Bsize)
	d.free.Store(free)
	d.low.Store(free < d.min)
	return nil
}

// Writable refuses while the disk is nearly full. The error's kind is Unavailable.
func (d *diskWatch) Writable() error {
	if !d.low.Load() {
		return nil
	}
	return &registry.Error{
		Kind: registry.Unavailable, RetryAfter: 30 * time.Second,
		Detail: "the registry's disk is nearly full: nothing was written; writing resumes when the operator has made space",
	}
}

// follow is one look, for the housekeeping; it logs when the answer changes.
func (d *diskWatch) follow(log *slog.Logger) {
	was := d.low.Load()
	if err := d.look(); err != nil {
		log.Error("free space unknown", "dir", d.dir, "error", err)
		return
	}
	switch now := d.low.Load(); {
	case now && !was:
		log.Error("disk nearly full, refusing writes", "dir", d.dir, "free_bytes", d.free.Load(), "min_free_bytes", d.min)
	case was && !now:
		log.Info("disk has space again, taking writes", "dir", d.dir, "free_bytes", d.free.Load())
	}
}
