package state

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/dcann/dcann/registry"
)

// reader gives rows by key. view calls f with the value, which is only valid inside, and reports whether
// there is a row.
type reader interface {
	view(key []byte, f func(value []byte) error) (found bool, err error)
}

// committed reads what is committed: of a *pebble.DB the newest, of a *pebble.Snapshot what it holds.
type committed struct{ pebble.Reader }

func (c committed) view(key []byte, f func([]byte) error) (bool, error) {
	value, closer, err := c.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the state: %w", err)
	}
	err = f(value)
	return true, errors.Join(err, closer.Close())
}

// maxOverlay bounds what one Pebble batch changes, in bytes of rows read and written. A longer ApplyBatch
// is committed in several, cut between entries, each with its own applied index.
const maxOverlay = 8 << 20

// writer collects the writes of one or more entries. Reads through it see them. It keeps the two hashes
// and is used by Apply alone.
type writer struct {
	db      reader
	scan    pebble.Reader
	rows    map[byte]map[string]*overlayRow // by space, so that a scan of one looks at its rows only
	size    int
	limit   int // commit when size is above it; maxOverlay but in tests
	applied appliedRow
	chain   [32]byte
	content contentHash
	scratch []byte

	firstDue registry.Millis // no row in spaceDue is due before or at it; noneDue: there is none
	touched  []ref           // records whose versions move when this is committed
	policies bool            // so do all
	grown    bool            // the journal
}

// noneDue is later than every registry time.
const noneDue = maxTime * 2

// overlayRow is a row that was read or written since the last commit. value is nil for none.
type overlayRow struct {
	value []byte
	dirty bool
}

func (w *writer) row(key []byte) (*overlayRow, error) {
	space := w.rows[key[0]]
	if o := space[string(key)]; o != nil {
		return o, nil
	}
	o := new(overlayRow)
	_, err := w.db.view(key, func(v []byte) error {
		o.value = bytes.Clone(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.remember(key, o)
	return o, nil
}

func (w *writer) remember(key []byte, o *overlayRow) {
	space := w.rows[key[0]]
	if space == nil {
		space = make(map[string]*overlayRow)
		w.rows[key[0]] = space
	}
	space[string(key)] = o
	w.size += len(key) + len(o.value) + 64
}

// view implements reader.
func (w *writer) view(key []byte, f func([]byte) error) (bool, error) {
	o, err := w.row(key)
	if err != nil || o.value == nil {
		return false, err
	}
	return true, f(o.value)
}

// set writes a row and brings the hashes up to date. value belongs to the writer from here on.
func (w *writer) set(key, value []byte) error {
	o, err := w.row(key)
	if err != nil {
		return err
	}
	w.write(key, o, value)
	return nil
}

// add is set for a key that is known to be new: it saves the look at what was there. A wrong claim shows
// as a content hash that no scan can confirm.
func (w *writer) add(key, value []byte) {
	o := w.rows[key[0]][string(key)]
	if o == nil {
		o = new(overlayRow)
		w.remember(key, o)
	}
	w.write(key, o, value)
}

// del removes a row, if it is there.
func (w *writer) del(key []byte) error {
	o, err := w.row(key)
	if err != nil || o.value == nil {
		return err
	}
	w.write(key, o, nil)
	return nil
}

func (w *writer) write(key []byte, o *overlayRow, value []byte) {
	if replicated(key[0]) {
		w.account(key, o.value, value)
	}
	w.size += len(value)
	o.value, o.dirty = value, true
}

func (w *writer) account(key, before, now []byte) {
	var h [32]byte
	if before != nil {
		h, w.scratch = rowHash(w.scratch, key, before)
		w.content.sub(h)
	}
	if now == nil {
		h, w.scratch = rowHash(w.scratch, key, nil)
		w.chain = chained(w.chain, deletedRow, h)
		return
	}
	h, w.scratch = rowHash(w.scratch, key, now)
	w.content.add(h)
	w.chain = chained(w.chain, wroteRow, h)
}

// setRow writes a row of CBOR; addRow does for a key that is known to be new.
func (w *writer) setRow(key []byte, row any) error {
	value, err := encodeRow(row)
	if err != nil {
		return err
	}
	return w.set(key, value)
}

func (w *writer) addRow(key []byte, row any) error {
	value, err := encodeRow(row)
	if err != nil {
		return err
	}
	w.add(key, value)
	return nil
}

// scrub notes that older versions of a key must leave the files of this node (CompactErased).
func (w *writer) scrub(key []byte) {
	w.add(scrubKey(w.applied.Index, key), []byte{})
	w.applied.Erasure = w.applied.Index
}

// under lists up to limit keys that begin with prefix, in order, as they are with all writes so far.
func (w *writer) under(prefix []byte, limit int) ([][]byte, error) {
	var fresh []string
	space := w.rows[prefix[0]]
	for k, o := range space {
		if o.dirty && o.value != nil && strings.HasPrefix(k, string(prefix)) {
			fresh = append(fresh, k)
		}
	}
	slices.Sort(fresh)
	it, err := w.scan.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var keys [][]byte
	valid := it.First()
	for len(keys) < limit && (valid || len(fresh) > 0) {
		switch {
		case valid && space[string(it.Key())] != nil && space[string(it.Key())].dirty:
			valid = it.Next() // deleted, or in fresh
		case valid && (len(fresh) == 0 || string(it.Key()) < fresh[0]):
			keys = append(keys, bytes.Clone(it.Key()))
			valid = it.Next()
		default:
			keys = append(keys, []byte(fresh[0]))
			fresh = fresh[1:]
		}
	}
	return keys, it.Error()
}

// commit writes everything to Pebble in one batch, without waiting for the disk: what makes it durable is
// a flush, and until then the Raft log (DESIGN 9, rule 5).
func (w *writer) commit(db *pebble.DB) error {
	w.applied.Chain, w.applied.Content = w.chain, w.content.bytes()
	if err := w.setRow(keyApplied, &w.applied); err != nil {
		return err
	}
	batch := db.NewBatchWithSize(w.size)
	defer batch.Close()
	for _, space := range w.rows {
		for key, o := range space {
			var err error
			switch {
			case !o.dirty:
			case o.value == nil:
				err = batch.Delete([]byte(key), nil)
			default:
				err = batch.Set([]byte(key), o.value, nil)
			}
			if err != nil {
				return err
			}
		}
	}
	return batch.Commit(pebble.NoSync)
}

// reset makes the writer ready for the entries after a commit.
func (w *writer) reset() {
	clear(w.rows)
	w.size, w.touched, w.policies, w.grown = 0, w.touched[:0], false, false
}
