package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// chunk is how much is read and written at once.
const chunk = 256 << 10

// Source is a directory to be archived. Its files must not change until it has been read, as those of a
// Pebble checkpoint do not. Safe for concurrent use: each Reader reads on its own.
type Source struct {
	fs     vfs.FS
	dir    string
	header Header
	start  []byte // the encoded header
	size   int64
}

// New lists the files of dir, which has no subdirectories. It reads none of them yet, and sets h.Files.
func New(fs vfs.FS, dir string, h Header) (*Source, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", dir, err)
	}
	slices.Sort(names)
	h.Files = make([]File, 0, len(names))
	for _, name := range names {
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", dir, err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("archive %s: %q is not a regular file", dir, name)
		}
		h.Files = append(h.Files, File{Name: name, Size: info.Size()})
	}
	start, err := h.encode()
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", dir, err)
	}
	size := h.content() + h.frame(len(start)-prefixLen-sumLen)
	return &Source{fs: fs, dir: dir, header: h, start: start, size: size}, nil
}

// Header is what the archive says of itself, with Files; not to be modified.
func (s *Source) Header() Header { return s.header }

// Size is the exact number of bytes that a Reader and WriteTo yield.
func (s *Source) Size() int64 { return s.size }

// WriteTo implements io.WriterTo. What it has written is of no use after an error.
func (s *Source) WriteTo(w io.Writer) (int64, error) {
	r := s.Reader()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, chunk))
	return n, errors.Join(err, r.Close())
}

// Reader reads the archive from the beginning. Close it; not safe for concurrent use.
func (s *Source) Reader() io.ReadCloser {
	r := &reader{src: s, pending: s.start, whole: sha256.New(), one: sha256.New()}
	r.whole.Write(s.start)
	return r
}

type reader struct {
	src     *Source
	pending []byte    // of the frame, to be read before anything else
	next    int       // number of the file to open
	file    vfs.File  // being read, or nil
	left    int64     // bytes of it
	whole   hash.Hash // of everything so far, pending too
	one     hash.Hash // of file
	ended   bool      // the last sum is in pending, or was
	err     error
}

// Read implements io.Reader. An error is for good.
func (r *reader) Read(p []byte) (n int, err error) {
	for r.err == nil && len(r.pending) == 0 {
		switch {
		case r.ended:
			r.err = io.EOF
		case r.file == nil && r.next == len(r.src.header.Files):
			r.pending, r.ended = r.whole.Sum(nil), true
		case r.file == nil:
			r.err = r.open()
		case r.left == 0:
			r.err = r.finish()
		default:
			n, r.err = r.read(p)
			return n, r.err
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	n = copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

func (r *reader) name() string { return r.src.fs.PathJoin(r.src.dir, r.src.header.Files[r.next].Name) }

func (r *reader) open() error {
	f, err := r.src.fs.Open(r.name(), vfs.SequentialReadsOption)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	r.file, r.left = f, r.src.header.Files[r.next].Size
	r.one.Reset()
	return nil
}

func (r *reader) read(p []byte) (int, error) {
	n, err := r.file.Read(p[:min(int64(len(p)), r.left)])
	r.one.Write(p[:n])
	r.whole.Write(p[:n])
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left > 0:
		return n, fmt.Errorf("archive %s: it became %d bytes shorter than it was", r.name(), r.left)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("archive %s: %w", r.name(), err)
	}
	return n, nil
}

// finish ends a file with its sum.
func (r *reader) finish() error {
	info, err := r.file.Stat()
	if err == nil && info.Size() != r.src.header.Files[r.next].Size {
		err = fmt.Errorf("it has %d bytes now, and had %d", info.Size(), r.src.header.Files[r.next].Size)
	}
	if err = errors.Join(err, r.file.Close()); err != nil {
		err = fmt.Errorf("archive %s: %w", r.name(), err)
	}
	r.pending = r.one.Sum(nil)
	r.whole.Write(r.pending)
	r.file = nil
	r.next++
	return err
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = errors.New("archive: it was closed")
	}
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
