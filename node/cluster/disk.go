package cluster

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dcann/dcann/registry"
)

// fullRetryAfter is what a caller is told to wait for space: somebody has to make it.
const fullRetryAfter = 10 * time.Second

// freeSpace keeps a reserve on the file system of the data, so that what was accepted can always be
// flushed. It asks at most once a second.
type freeSpace struct {
	dir     string
	reserve uint64
	asked   atomic.Int64 // unix ns
	free    atomic.Uint64
}

// watch sets what to watch, and asks for the first time: who calls check while another asks gets the answer
// from before.
func (f *freeSpace) watch(dir string, reserve uint64) {
	f.dir, f.reserve = dir, reserve
	f.free.Store(f.measure())
}

// check returns an error of kind Unavailable if less than the reserve is free.
func (f *freeSpace) check() error {
	now, asked := time.Now().UnixNano(), f.asked.Load()
	if now-asked > int64(time.Second) && f.asked.CompareAndSwap(asked, now) {
		f.free.Store(f.measure())
	}
	if free := f.free.Load(); free < f.reserve {
		return &registry.Error{
			Kind:       registry.Unavailable,
			Detail:     fmt.Sprintf("the registry's disk is nearly full, %d MiB free: expected at least %d MiB; nothing was written", free>>20, f.reserve>>20),
			RetryAfter: fullRetryAfter,
		}
	}
	return nil
}

// measure is how many bytes an unprivileged process may still use. If the file system does not say, it is
// for the write itself to find out.
func (f *freeSpace) measure() uint64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(f.dir, &fs); err != nil {
		return ^uint64(0)
	}
	return fs.Bavail * uint64(fs.Bsize)
}
