package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// TestDamagedLog: of a log's file that something else wrote to, opening says what to do, and does not end
// the process.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	const page = 4096
	path := filepath.Join(t.TempDir(), "raft.db")
	db, err := openLog(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var logs []*raft.Log
	for i := range uint64(300) {
		logs = append(logs, &raft.Log{Index: i + 1, Term: 1, Data: bytes.Repeat([]byte{byte(i)}, 3000)})
	}
	if err := db.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	overwrite := func(from, to int) func([]byte) []byte {
		return func(b []byte) []byte {
			for i := from; i < min(to, len(b)); i++ {
				b[i] = 0xa5
			}
			return b
		}
	}
	for _, tt := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"cut off in the middle", func(b []byte) []byte { return b[:len(b)/2] }},
		{"cut off behind the first pages", func(b []byte) []byte { return b[:2*page] }},
		{"cut off in the first page", func(b []byte) []byte { return b[:100] }},
		{"both first pages overwritten", overwrite(0, 2*page)},
		{"all but them overwritten", overwrite(2*page, len(whole))},
		{"the second half overwritten", overwrite(len(whole)/2, len(whole))},
		{"zeros behind them", func(b []byte) []byte { clear(b[2*page:]); return b }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "raft.db")
			if err := os.WriteFile(path, tt.damage(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := openLog(path, 1<<20)
			if err == nil {
				t.Fatal("opened", db.Close())
			}
			if !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), wipe) {
				t.Errorf("got %v: expected to be told that it is damaged, and what to do", err)
			}
		})
	}
	db, err = openLog(path, 1<<20)
	if err != nil {
		t.Fatal("the whole log: ", err)
	}
	if last, err := db.LastIndex(); err != nil || last != 300 {
		t.Errorf("last index %d, %v", last, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
