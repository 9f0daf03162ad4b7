package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Limits are what a receiver accepts. The zero value accepts every archive that fits the disk.
type Limits struct {
	Reserve uint64 // bytes that must stay free on the disk, if the file system can say
}

// Receive unpacks an archive to dir, which must not exist, but its parent must. It reads r to its end.
// dir is there, synced and whole, when Receive returns nil, and otherwise not at all, after a crash neither:
// the files are unpacked in dir + ".partial", which is renamed at the end, and which the next receiver
// removes when a crash left it. One receiver works on a dir at a time.
//
// progress, unless nil, is told how many of the archive's bytes are done, about once a mebibyte.
//
// The error is a *DamagedError when the stream is not an archive or not a whole one, that of r, or that
// of the disk.
func Receive(fs vfs.FS, r io.Reader, dir string, limit Limits, progress func(done, total int64)) (Header, error) {
	rec := NewReceiver(fs, dir, limit, progress)
	_, err := io.CopyBuffer(rec, struct{ io.Reader }{r}, make([]byte, chunk))
	if err != nil {
		rec.Abort()
		if rec.err == nil {
			err = fmt.Errorf("read the archive: %w", err)
		}
		return Header{}, err
	}
	return rec.Finish()
}

// Receiver is Receive for a caller that is given the bytes: it writes them, and then calls Finish or
// Abort. Not safe for concurrent use.
type Receiver struct {
	fs        vfs.FS
	dir, part string
	limit     Limits
	progress  func(done, total int64)
	told      int64 // done, when progress was called last

	field  []byte // a part of the frame that is being collected
	need   int    // bytes of it
	begun  int64  // where it, or the file, begins
	next   func(field []byte) error
	ending bool // the field is the last sum, which is not part of what it sums up

	text   []byte // of the header
	header Header
	total  int64 // size of the archive; 0: not known yet
	done   int64 // bytes so far

	index int      // of the file in hand
	file  vfs.File // nil: none
	left  int64    // bytes of it to come
	whole hash.Hash
	one   hash.Hash

	scratch []byte // what is written: a vfs.File may modify it, which an io.Writer may not do to its caller's

	made   bool // part exists
	err    error
	closed bool // finished or aborted
}

// NewReceiver does nothing yet; see Receive for what it promises.
func NewReceiver(fs vfs.FS, dir string, limit Limits, progress func(done, total int64)) *Receiver {
	r := &Receiver{fs: fs, dir: dir, part: dir + ".partial", limit: limit, progress: progress, whole: sha256.New(), one: sha256.New()}
	if r.progress == nil {
		r.progress = func(int64, int64) {}
	}
	r.collect(prefixLen, r.prefix)
	return r
}

// Write implements io.Writer: it takes the next bytes of the archive. After an error, everything that was
// unpacked is gone, and each further call returns that error.
func (r *Receiver) Write(p []byte) (n int, err error) {
	if r.closed {
		return 0, errors.New("receive an archive: it is finished")
	}
	for r.err == nil && n < len(p) {
		m, err := r.take(p[n:])
		n += m
		if err == nil && r.need > 0 && len(r.field) == r.need {
			err = r.complete()
		}
		if err != nil {
			r.fail(err)
		}
	}
	if r.err == nil && r.total > 0 && r.done-r.told >= 1<<20 {
		r.tell()
	}
	return n, r.err
}

func (r *Receiver) tell() {
	r.told = r.done
	r.progress(r.done, r.total)
}

// take uses some of p, at least one byte.
func (r *Receiver) take(p []byte) (int, error) {
	switch {
	case r.left > 0:
		r.scratch = append(r.scratch[:0], p[:min(int64(len(p)), r.left, chunk)]...)
		r.one.Write(r.scratch)
		r.whole.Write(r.scratch)
		want := len(r.scratch)
		n, err := r.file.Write(r.scratch)
		if err == nil && n < want {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, r.disk(err)
		}
		r.done += int64(n)
		if r.left -= int64(n); r.left == 0 {
			r.collect(sumLen, r.fileSum)
		}
		return n, nil
	case r.need > 0:
		n := min(len(p), r.need-len(r.field))
		r.field = append(r.field, p[:n]...)
		if !r.ending {
			r.whole.Write(p[:n])
		}
		r.done += int64(n)
		return n, nil
	}
	return 0, &DamagedError{Offset: r.done, Detail: fmt.Sprintf("at least %d bytes follow the end", len(p))}
}

// collect makes the next n bytes a field that is given to f when it is whole.
func (r *Receiver) collect(n int, f func(field []byte) error) {
	r.need, r.next, r.begun = n, f, r.done
}

// complete hands on a whole field.
func (r *Receiver) complete() error {
	field := r.field
	r.field, r.need = r.field[:0], 0
	return r.next(field)
}

func (r *Receiver) prefix(b []byte) error {
	n, err := decodePrefix(b)
	if err == nil {
		r.collect(n, r.headerText)
	}
	return err
}

func (r *Receiver) headerText(b []byte) error {
	r.text, r.field = b, nil
	r.collect(sumLen, r.headerSum)
	return nil
}

func (r *Receiver) headerSum(sum []byte) error {
	h, err := decodeHeader(r.text, sum)
	if err != nil {
		return err
	}
	r.header, r.total = h, h.content()+h.frame(len(r.text))
	r.text = nil
	if err := r.admit(); err != nil {
		return err
	}
	if err := r.makePart(); err != nil {
		return r.disk(err)
	}
	r.index = -1
	return r.nextFile()
}

// admit holds the header against the limits, before anything is written.
func (r *Receiver) admit() error {
	content := r.header.content()
	switch usage, err := r.fs.GetDiskUsage(r.fs.PathDir(r.dir)); {
	case err != nil: // it cannot say
	case usage.AvailBytes < r.limit.Reserve || usage.AvailBytes-r.limit.Reserve < uint64(content):
		return fmt.Errorf("receive an archive: its files have %d bytes and %d must stay free: the disk has %d free",
			content, r.limit.Reserve, usage.AvailBytes)
	}
	return nil
}

func (r *Receiver) makePart() error {
	if _, err := r.fs.Stat(r.fs.PathDir(r.dir)); err != nil {
		return err
	}
	if err := r.absent(); err != nil {
		return err
	}
	if err := r.fs.RemoveAll(r.part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r.made = true
	return r.fs.MkdirAll(r.part, 0o700)
}

func (r *Receiver) absent() error {
	switch _, err := r.fs.Stat(r.dir); {
	case err == nil:
		return os.ErrExist
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return nil
}

// nextFile begins the file after the one in hand, or the end.
func (r *Receiver) nextFile() error {
	r.index++
	if r.index == len(r.header.Files) {
		r.ending = true
		r.collect(sumLen, r.wholeSum)
		return nil
	}
	next := r.header.Files[r.index]
	f, err := r.fs.Create(r.fs.PathJoin(r.part, next.Name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return r.disk(err)
	}
	// Written back as it comes: a flood at the end would hold up the fsyncs of the Raft log.
	r.file, r.left, r.begun = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: 1 << 20}), next.Size, r.done
	r.one.Reset()
	if r.left == 0 {
		r.collect(sumLen, r.fileSum)
	}
	return nil
}

// fileSum ends a file.
func (r *Receiver) fileSum(sum []byte) error {
	f := r.header.Files[r.index]
	if got := r.one.Sum(nil); !bytes.Equal(got, sum) {
		return mismatch(r.begun-f.Size, f.Name, got, sum)
	}
	err := r.file.Sync()
	err = errors.Join(err, r.file.Close())
	r.file = nil
	if err != nil {
		return r.disk(err)
	}
	return r.nextFile()
}

func (r *Receiver) wholeSum(sum []byte) error {
	if got := r.whole.Sum(nil); !bytes.Equal(got, sum) {
		return mismatch(r.begun, "", got, sum)
	}
	return nil
}

// disk says what the disk refused.
func (r *Receiver) disk(err error) error {
	return fmt.Errorf("receive an archive to %s: %w", r.dir, err)
}

// Finish says that there are no more bytes. Without an error dir is there, whole and synced. It may be called once.
func (r *Receiver) Finish() (Header, error) {
	if r.closed {
		return Header{}, errors.New("receive an archive: it is finished")
	}
	r.closed = true
	if r.err == nil && (r.need > 0 || r.left > 0) {
		r.fail(r.cut())
	}
	if r.err == nil {
		if err := r.publish(); err != nil {
			r.fail(r.disk(err))
		}
	}
	if r.err != nil {
		return Header{}, r.err
	}
	r.tell()
	return r.header, nil
}

// cut says where the stream ends too early.
func (r *Receiver) cut() error {
	if r.file == nil {
		return truncated(r.begun, "", int64(len(r.field)), int64(r.need))
	}
	f := r.header.Files[r.index]
	if r.left > 0 {
		return truncated(r.begun, f.Name, f.Size-r.left, f.Size)
	}
	return truncated(r.begun, f.Name, int64(len(r.field)), int64(r.need))
}

// publish gives the directory its name, in an order in which a crash leaves it whole or not there.
func (r *Receiver) publish() error {
	if err := syncDir(r.fs, r.part); err != nil {
		return err
	}
	if err := r.absent(); err != nil {
		return err
	}
	if err := r.fs.Rename(r.part, r.dir); err != nil {
		return err
	}
	if err := syncDir(r.fs, r.fs.PathDir(r.dir)); err != nil {
		return errors.Join(err, r.fs.RemoveAll(r.dir))
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Abort removes what was unpacked, unless Finish was called. It may be called at any time, repeatedly.
func (r *Receiver) Abort() {
	if !r.closed {
		r.closed = true
		r.remove()
	}
}

func (r *Receiver) fail(err error) {
	r.err = errors.Join(err, r.remove())
}

func (r *Receiver) remove() (err error) {
	if r.file != nil {
		_ = r.file.Close() // its bytes are not wanted any more
		r.file = nil
	}
	if r.made {
		r.made = false
		if err = r.fs.RemoveAll(r.part); err != nil {
			err = fmt.Errorf("and %s stays: %w", r.part, err)
		}
	}
	return err
}
