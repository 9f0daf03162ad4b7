package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry/state"
)

// storeReport is what is on the disk of a node that is stopped. Bytes is without the Raft log.
type storeReport struct {
	Entries          uint64  `json:"entries"` // of the journal
	OpenMillis       float64 `json:"openMillis"`
	SnapshotMillis   float64 `json:"snapshotMillis"` // until a follower could be sent it
	CompactMillis    float64 `json:"compactMillis"`  // 0: not asked for
	Bytes            int64   `json:"bytes"`
	BytesPerEntry    float64 `json:"bytesPerEntry"`
	BytesUncompacted int64   `json:"bytesUncompacted"`
}

func (r *storeReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d entries in %d bytes, %.0f each\nopened in %.1f ms, snapshot in %.1f ms\n", r.Entries, r.Bytes, r.BytesPerEntry, r.OpenMillis, r.SnapshotMillis)
}

func newBenchStoreCommand(a *app) *cobra.Command {
	var data string
	var compact bool
	c := &cobra.Command{
		Use:   "store --data DIR",
		Short: "measure what a stopped node has on disk",
		Long: `Opens the state of a node that is not running and tells how large it is and how long a
snapshot takes. With --compact all of it is rewritten first, as it would be in the end.`,
		Example: `  dcann bench store --data ./d --compact`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := measureStore(c.Context(), stateUnder(data), compact)
			if err != nil {
				return err
			}
			return a.show(r, r.text)
		},
	}
	c.Flags().StringVar(&data, "data", "", "the node's data directory")
	c.Flags().BoolVar(&compact, "compact", false, "rewrite everything first; takes minutes for a million passports")
	required(c, "data")
	return c
}

// stateUnder is where a node's state is: in state, or if it came from another node where state.current says.
// It does not ask package cluster, which takes the directory for its own and removes what is not in force.
func stateUnder(data string) string {
	text, err := os.ReadFile(filepath.Join(data, "state.current"))
	if words := strings.Fields(string(text)); err == nil && len(words) > 0 {
		return filepath.Join(data, filepath.Base(words[0]))
	}
	return filepath.Join(data, "state")
}

func measureStore(ctx context.Context, dir string, compact bool) (r *storeReport, err error) {
	r = new(storeReport)
	if _, err := os.Stat(dir); err != nil {
		return nil, usageError{fmt.Errorf("--data: %w", err)}
	}
	if r.BytesUncompacted, err = bytesUnder(dir); err != nil {
		return nil, err
	}
	start := time.Now()
	s, err := state.Open(dir, state.Options{})
	if err != nil {
		return nil, err
	}
	r.OpenMillis, r.Entries = millisSince(start), s.NextPosition()
	if err := measureOpen(ctx, s, dir, compact, r); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	// Files that compaction replaced are gone when the state is closed.
	if err := s.Close(); err != nil {
		return nil, err
	}
	if r.Bytes, err = bytesUnder(dir); err != nil {
		return nil, err
	}
	r.BytesPerEntry = float64(r.Bytes) / float64(max(r.Entries, 1))
	return r, nil
}

func measureOpen(ctx context.Context, s *state.Store, dir string, compact bool, r *storeReport) error {
	// Beside the state, so that its files can be linked as a node links them.
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "bench-snapshot-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	start := time.Now()
	if err := s.Checkpoint(filepath.Join(tmp, "snapshot")); err != nil {
		return err
	}
	r.SnapshotMillis = millisSince(start)
	if !compact {
		return nil
	}
	start = time.Now()
	if err := s.Compact(ctx); err != nil {
		return err
	}
	r.CompactMillis = millisSince(start)
	return nil
}

func millisSince(start time.Time) float64 { return float64(time.Since(start).Microseconds()) / 1e3 }

func bytesUnder(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
