package state

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// patientFS stands between Pebble and the disk. Pebble retries a failed flush at once and without end,
// and ends the process when the manifest cannot be written; with a full disk both are wrong. So an
// operation that finds no space waits here until there is some, which is how the store heals by itself,
// and an operation that fails otherwise is held up a little, which paces the retries. Reads pass.
type patientFS struct {
	vfs.FS
	disk *disk
}

// disk is what is known of the disk's health. Safe for concurrent use.
type disk struct {
	fs     vfs.FS
	dir    string
	report func(error) // told of every change for the worse; never nil
	retry  time.Duration

	mu      sync.Mutex
	err     error         // since the last time that something succeeded
	failing chan struct{} // closed when err is set; a new one when it is cleared
	closed  chan struct{} // closed at the end: nobody waits any more
	waiting int           // operations that wait for space
}

// How long a failed operation is held up.
const diskRetry = 200 * time.Millisecond

func newDisk(fs vfs.FS, dir string, report func(error)) *disk {
	return &disk{fs: fs, dir: dir, report: report, retry: diskRetry, failing: make(chan struct{}), closed: make(chan struct{})}
}

// state returns a channel that closes with the next error, and the one in force.
func (d *disk) state() (failing <-chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failing, d.err
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	first := d.err == nil
	d.err = err
	if first {
		close(d.failing)
	}
	d.mu.Unlock()
	if first {
		d.report(err)
	}
}

// succeeded clears the error when no operation waits for space.
func (d *disk) succeeded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil && d.waiting == 0 {
		d.err, d.failing = nil, make(chan struct{})
	}
}

func (d *disk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.closed:
	default:
		close(d.closed)
	}
}

// pause waits a moment; false when the store is being closed.
func (d *disk) pause() bool {
	t := time.NewTimer(d.retry)
	defer t.Stop()
	select {
	case <-d.closed:
		return false
	case <-t.C:
		return true
	}
}

// do runs op until it does not fail for lack of space.
func (d *disk) do(op func() error) error {
	err := op()
	if err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrExist) {
		return err
	}
	d.fail(err)
	if !errors.Is(err, syscall.ENOSPC) {
		d.pause()
		return err
	}
	d.wait(1)
	for errors.Is(err, syscall.ENOSPC) && d.pause() {
		err = op()
	}
	d.wait(-1)
	if err == nil {
		d.succeeded()
	}
	return err
}

// once runs op, and only reports and paces its failure.
func (d *disk) once(op func() error) error {
	err := op()
	if err != nil {
		d.fail(err)
		d.pause()
	}
	return err
}

func (d *disk) wait(n int) {
	d.mu.Lock()
	d.waiting += n
	d.mu.Unlock()
}

// Unwrap implements vfs.FS.
func (p *patientFS) Unwrap() vfs.FS { return p.FS }

func (p *patientFS) open(op func() (vfs.File, error)) (f vfs.File, err error) {
	err = p.disk.do(func() error { f, err = op(); return err })
	if err != nil {
		return nil, err
	}
	return &patientFile{File: f, disk: p.disk}, nil
}

// Create implements vfs.FS.
func (p *patientFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (p *patientFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (p *patientFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.ReuseForWrite(from, to, c) })
}

// OpenDir implements vfs.FS; what is done with a directory is to sync it.
func (p *patientFS) OpenDir(name string) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (p *patientFS) Link(from, to string) error {
	return p.disk.do(func() error { return p.FS.Link(from, to) })
}

// Rename implements vfs.FS.
func (p *patientFS) Rename(from, to string) error {
	return p.disk.do(func() error { return p.FS.Rename(from, to) })
}

// MkdirAll implements vfs.FS.
func (p *patientFS) MkdirAll(dir string, perm os.FileMode) error {
	return p.disk.do(func() error { return p.FS.MkdirAll(dir, perm) })
}

// patientFile is a file that is written.
type patientFile struct {
	vfs.File
	disk *disk
}

// Write implements io.Writer. What a full disk took of b stays written; the rest follows.
func (f *patientFile) Write(b []byte) (n int, err error) {
	err = f.disk.do(func() error {
		m, err := f.File.Write(b[n:])
		n += m
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		return err
	})
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *patientFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.disk.do(func() error {
		m, err := f.File.WriteAt(b[n:], off+int64(n))
		n += m
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		return err
	})
	return n, err
}

// Sync implements vfs.File. It is not tried again, not even for lack of space: after an error the kernel
// may have thrown pages away, so that a second Sync that succeeds proves nothing. Pebble then writes the
// table anew.
func (f *patientFile) Sync() error { return f.disk.once(f.File.Sync) }

// SyncData implements vfs.File.
func (f *patientFile) SyncData() error { return f.disk.once(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *patientFile) SyncTo(length int64) (full bool, err error) {
	err = f.disk.once(func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}
