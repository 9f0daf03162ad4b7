package state

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// maxPoints is up to how many keys CompactErased treats one by one: beyond it, whole key spaces.
const maxPoints = 256

// CompactErased makes the bytes of what was erased or dropped leave the files of the store, and returns
// when the files that held them are deleted. It reads and writes the tables concerned, in the worst case
// all of them; reads and Apply go on. The Raft log up to ErasureIndex is the caller's to truncate, and
// checkpoints are the caller's to delete.
func (s *Store) CompactErased(ctx context.Context) error {
	s.scrubbing.Lock()
	defer s.scrubbing.Unlock()
	rows, err := s.scrubs()
	if err != nil || len(rows) == 0 {
		return err
	}
	// Flushes and compactions keep what an open snapshot may still read, so first those go that can read
	// what was erased.
	if err := waitGroup(ctx, s.snaps.older()); err != nil {
		return fmt.Errorf("compact what was erased: wait for readers: %w", err)
	}
	keys := make([][]byte, len(rows))
	for i, row := range rows {
		keys[i] = row[scrubPrefix:]
	}
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	if err := s.rewrite(ctx, keys); err != nil {
		return err
	}
	if err := s.Flush(); err != nil {
		return err
	}
	for _, span := range spansOf(keys) {
		if err := s.db.Compact(ctx, span[0], span[1], false); err != nil {
			return fmt.Errorf("compact what was erased: %w", err)
		}
	}
	if err := s.waitDeleted(ctx); err != nil {
		return fmt.Errorf("compact what was erased: wait for old files: %w", err)
	}
	return s.forget(rows)
}

// scrubs lists the rows of spaceScrub.
func (s *Store) scrubs() ([][]byte, error) {
	prefix := []byte{spaceScrub}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, fmt.Errorf("read what is to be scrubbed: %w", err)
	}
	defer it.Close()
	var rows [][]byte
	for it.First(); it.Valid(); it.Next() {
		if len(it.Key()) > scrubPrefix {
			rows = append(rows, bytes.Clone(it.Key()))
		}
	}
	return rows, it.Error()
}

// rewrite writes each key again as it is. A table may hold an old version beside the new one, from when
// a snapshot was open, and would be left alone by a compaction with nothing to merge into it; now there is.
func (s *Store) rewrite(ctx context.Context, keys [][]byte) error {
	for chunk := range slices.Chunk(keys, 64) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.rewriteChunk(chunk); err != nil {
			return fmt.Errorf("rewrite what was erased: %w", err)
		}
	}
	return nil
}

func (s *Store) rewriteChunk(keys [][]byte) error {
	s.applying.Lock() // else a value written meanwhile would be lost
	defer s.applying.Unlock()
	batch := s.db.NewBatch()
	defer batch.Close()
	for _, k := range keys {
		found, err := committed{s.db}.view(k, func(v []byte) error { return batch.Set(k, v, nil) })
		if err == nil && !found {
			err = batch.Delete(k, nil)
		}
		if err != nil {
			return err
		}
	}
	return batch.Commit(pebble.NoSync)
}

// forget removes rows of spaceScrub. They are named by the entry that wrote them, so that none is lost
// that was written meanwhile.
func (s *Store) forget(rows [][]byte) error {
	batch := s.db.NewBatch()
	defer batch.Close()
	for _, k := range rows {
		if err := batch.Delete(k, nil); err != nil {
			return err
		}
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("forget what was scrubbed: %w", err)
	}
	return nil
}

// spansOf are the ranges to compact for keys, which are in order.
func spansOf(keys [][]byte) (spans [][2][]byte) {
	if len(keys) <= maxPoints {
		for _, k := range keys {
			spans = append(spans, [2][]byte{k, append(bytes.Clone(k), 0)})
		}
		return spans
	}
	for i, k := range keys {
		if i == 0 || k[0] != keys[i-1][0] {
			spans = append(spans, [2][]byte{{k[0]}, after(k[:1])})
		}
	}
	return spans
}

// waitDeleted waits until no file is left that the store does not use any more.
func (s *Store) waitDeleted(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.Metrics().ObsoleteFiles > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// waitGroup is wg.Wait that gives up with ctx; the goroutine ends with the last reader.
func waitGroup(ctx context.Context, wg interface{ Wait() }) error {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
