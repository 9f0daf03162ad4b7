package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// The caps of the format, on both sides.
const (
	// MaxHeader is the largest header in bytes of JSON: some 200,000 files, which is six terabytes of Pebble
	// tables of 32 MiB.
	MaxHeader = 8 << 20

	// MaxKind is the largest Header.Kind in bytes.
	MaxKind = 32

	// MaxName is the longest name of a file in bytes.
	MaxName = 128
)

const (
	magic     = "dcann archive 1\n"
	prefixLen = len(magic) + 4
	sumLen    = sha256.Size
)

// Header says what the archive holds.
type Header struct {
	Kind               string    `json:"kind"` // "checkpoint" or "backup": free text of the caller, at most MaxKind bytes
	Country            string    `json:"country"`
	Node               string    `json:"node"`          // that made it
	Version            string    `json:"version"`       // of the release that made it
	Level              uint32    `json:"level"`         // of the state (DESIGN 8)
	Index              uint64    `json:"index"`         // applied
	Term               uint64    `json:"term"`          // of Index
	Position           uint64    `json:"position"`      // next of the journal
	StateHash          string    `json:"stateHash"`     // hexadecimal, as of Index
	Configuration      []byte    `json:"configuration"` // encoded Raft configuration
	ConfigurationIndex uint64    `json:"configurationIndex"`
	Created            time.Time `json:"created"` // UTC

	// AsOf is nil unless the node could not confirm that its state was the newest. Then everything that was
	// acknowledged before AsOf, in UTC, is in it, and of what was later some may be missing; the zero time: not
	// known since when.
	AsOf *time.Time `json:"asOf,omitzero"`

	Files []File `json:"files"` // in the order of their names; filled by New
}

// File is one file of the archive.
type File struct {
	Name string `json:"name"` // [A-Za-z0-9._-]{1,128}, neither "." nor ".."
	Size int64  `json:"size"` // bytes
}

// content is how many bytes all files have together.
func (h *Header) content() (sum int64) {
	for _, f := range h.Files {
		sum += f.Size
	}
	return sum
}

// frame is how many bytes of the archive are not a file's.
func (h *Header) frame(encoded int) int64 {
	return int64(prefixLen+encoded+sumLen) + int64(len(h.Files)+1)*int64(sumLen)
}

// check holds for both sides.
func (h *Header) check() error {
	if len(h.Kind) > MaxKind {
		return fmt.Errorf("the kind has %d bytes: expected at most %d", len(h.Kind), MaxKind)
	}
	sum := int64(0)
	for i, f := range h.Files {
		switch {
		case !validName(f.Name):
			return fmt.Errorf("file name %.200q: neither . nor .. are names, and others have 1 to %d of A-Z a-z 0-9 . _ -", f.Name, MaxName)
		case i > 0 && f.Name == h.Files[i-1].Name:
			return fmt.Errorf("two files named %s", f.Name)
		case i > 0 && f.Name < h.Files[i-1].Name:
			return fmt.Errorf("file %s comes after %s: expected the order of names", f.Name, h.Files[i-1].Name)
		case f.Size < 0:
			return fmt.Errorf("file %s has %d bytes", f.Name, f.Size)
		case f.Size > maxContent-sum:
			return fmt.Errorf("file %s: all together have more than %d bytes", f.Name, maxContent)
		}
		sum += f.Size
	}
	return nil
}

// maxContent leaves room for the frame, so that no size of an archive overflows.
const maxContent = math.MaxInt64 >> 1

func validName(s string) bool {
	if s == "." || s == ".." || len(s) < 1 || len(s) > MaxName {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-'
	}) < 0
}

// encode writes prefix, JSON and its SHA-256, the one spelling of the header.
func (h *Header) encode() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	text, err := h.json()
	if err != nil {
		return nil, err
	}
	if len(text) > MaxHeader {
		return nil, fmt.Errorf("the header of %d files has %d bytes: expected at most %d", len(h.Files), len(text), MaxHeader)
	}
	b := make([]byte, 0, prefixLen+len(text)+sumLen)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	b = append(b, text...)
	sum := sha256.Sum256(text)
	return append(b, sum[:]...), nil
}

func (h *Header) json() ([]byte, error) {
	canonical := *h
	canonical.Created = h.Created.UTC().Round(0)
	if h.AsOf != nil {
		asOf := h.AsOf.UTC().Round(0)
		canonical.AsOf = &asOf
	}
	text, err := json.Marshal(&canonical)
	if err != nil {
		return nil, fmt.Errorf("encode the header: %w", err)
	}
	return text, nil
}

// decodePrefix reads what stands before the header: magic, version and the header's length.
func decodePrefix(b []byte) (headerLen int, err error) {
	if string(b[:len(magic)]) != magic {
		return 0, &DamagedError{Detail: fmt.Sprintf("it begins with %q: expected %q", b[:len(magic)], magic)}
	}
	n := binary.BigEndian.Uint32(b[len(magic):])
	if n < 2 || n > MaxHeader {
		return 0, &DamagedError{Offset: int64(len(magic)), Detail: fmt.Sprintf("the header has %d bytes: expected 2 to %d", n, MaxHeader)}
	}
	return int(n), nil
}

// decodeHeader reads the JSON that sum is of. It must be spelled as this release would, which leaves
// nothing that two readers could understand differently.
func decodeHeader(text, sum []byte) (Header, error) {
	if got := sha256.Sum256(text); !bytes.Equal(got[:], sum) {
		return Header{}, mismatch(int64(prefixLen), "", got[:], sum)
	}
	var h Header
	err := json.Unmarshal(text, &h, json.RejectUnknownMembers(true))
	if err == nil {
		err = h.check()
	}
	if err == nil {
		var again []byte
		if again, err = h.json(); err == nil && !bytes.Equal(again, text) {
			err = errors.New("it is not spelled as this release would")
		}
	}
	if err != nil {
		return Header{}, &DamagedError{Offset: int64(prefixLen), Detail: fmt.Sprintf("the header: %v", err)}
	}
	return h, nil
}

// DamagedError is why a stream is no whole archive: cut off, altered, extended, or none at all.
type DamagedError struct {
	Offset int64  // in the stream, where the part begins that is wrong
	File   string // that it belongs to, if any
	Detail string // what was found and what was expected
}

// Error implements error.
func (e *DamagedError) Error() string {
	if e.File != "" {
		return fmt.Sprintf("damaged archive: file %s, at byte %d: %s", e.File, e.Offset, e.Detail)
	}
	return fmt.Sprintf("damaged archive: at byte %d: %s", e.Offset, e.Detail)
}

func truncated(offset int64, file string, got, want int64) error {
	return &DamagedError{Offset: offset, File: file,
		Detail: fmt.Sprintf("it ends after %d bytes of this part: expected %d", got, want)}
}

func mismatch(offset int64, file string, got, want []byte) error {
	return &DamagedError{Offset: offset, File: file, Detail: fmt.Sprintf("SHA-256 is %x: the archive says %x", got, want)}
}
