package state

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Scan calls f with every replicated row, in order of keys, as of one moment. key and value are only valid
// inside f.
func (s *Store) Scan(ctx context.Context, f func(key, value []byte) error) error {
	snap := s.snapshot()
	defer snap.close()
	return scan(ctx, snap.Snapshot, f)
}

func scan(ctx context.Context, r pebble.Reader, f func(key, value []byte) error) error {
	it, err := r.NewIter(nil)
	if err != nil {
		return fmt.Errorf("scan the state: %w", err)
	}
	n := 0
	for it.First(); it.Valid() && err == nil; it.Next() {
		if replicated(it.Key()[0]) {
			err = f(it.Key(), it.Value())
		}
		if n++; n%1024 == 0 && err == nil {
			err = ctx.Err()
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return fmt.Errorf("scan the state: %w", err)
	}
	return nil
}

// VerifyContent reads all rows and compares them with the content hash in the state. It takes minutes
// on a large state, and nothing waits for it.
func (s *Store) VerifyContent(ctx context.Context) error {
	snap := s.snapshot()
	defer snap.close()
	var applied appliedRow
	_, err := committed{snap.Snapshot}.view(keyApplied, func(v []byte) error { return decodeRow(v, &applied) })
	if err != nil {
		return fmt.Errorf("verify the state: %w", err)
	}
	var sum contentHash
	var h [32]byte
	var scratch []byte
	err = scan(ctx, snap.Snapshot, func(key, value []byte) error {
		h, scratch = rowHash(scratch, key, value)
		sum.add(h)
		return nil
	})
	if err != nil {
		return err
	}
	if sum.bytes() != applied.Content {
		return fmt.Errorf("verify the state at index %d: the rows sum up to %x, but the state says %x: wipe this node and let it rejoin",
			applied.Index, sum.bytes(), applied.Content)
	}
	return nil
}
