package state

import (
	"context"
	"fmt"
)

// Compact rewrites all files, as Pebble would in the end by itself while nothing is written: what is on disk
// then is what the state needs. It takes minutes for a million records; reads and Apply go on meanwhile.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.Flush(); err != nil {
		return err
	}
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return fmt.Errorf("compact the state: %w", err)
	}
	return nil
}
