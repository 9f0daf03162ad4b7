package node

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/dcann/dcann/registry"
)

// startFree is how many bytes must be free for a node to start at all: opening the files writes to them.
// Between this and Config.MinFree it answers and refuses writes.
const startFree = 8 << 20

// checkSpace refuses to start on a disk where opening would fail halfway. The error's kind is Unavailable.
func checkSpace(dir string, min uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := st.Bavail * uint64(st.Bsize); free < min {
		return fail(registry.Unavailable, "the disk of %s has %d bytes free: a start needs %d; nothing was touched, make space and start again", dir, free, min)
	}
	return nil
}

// diskLog says in the log when the disk fills up and when there is space again. Refusing writes meanwhile
// is the cluster's duty. It belongs to one goroutine.
type diskLog struct {
	min uint64
	low bool
}

// look compares the free bytes with what must stay free.
func (d *diskLog) look(free uint64, log *slog.Logger) {
	switch low := free < d.min; {
	case low && !d.low:
		log.Error("disk nearly full, refusing writes", "free_bytes", free, "min_free_bytes", d.min)
	case d.low && !low:
		log.Info("disk has space again, taking writes", "free_bytes", free)
	}
	d.low = free < d.min
}
