package state

import "github.com/cockroachdb/pebble/v2/vfs"

// Metrics are figures of the store for the operator.
type Metrics struct {
	DiskBytes      uint64 // of all files, obsolete ones included
	DiskAvailable  uint64 // free on the file system; 0 when it cannot say
	CacheBytes     int64
	CacheHits      int64
	CacheMisses    int64
	MemTableBytes  uint64
	CompactionDebt uint64 // bytes yet to be compacted, estimated
	Flushes        int64
	Compactions    int64
	ObsoleteFiles  int64 // waiting to be deleted
}

// Metrics reads the figures; it takes a lock of Pebble's for a moment.
func (s *Store) Metrics() Metrics {
	m := s.db.Metrics()
	out := Metrics{
		DiskBytes: m.DiskSpaceUsage(), CacheBytes: m.BlockCache.Size, CacheHits: m.BlockCache.Hits,
		CacheMisses: m.BlockCache.Misses, MemTableBytes: m.MemTable.Size, CompactionDebt: m.Compact.EstimatedDebt,
		Flushes: m.Flush.Count, Compactions: m.Compact.Count,
		ObsoleteFiles: m.Table.ObsoleteCount + m.Table.ZombieCount,
	}
	if u, err := s.usage(); err == nil {
		out.DiskAvailable = u.AvailBytes
	}
	return out
}

func (s *Store) usage() (vfs.DiskUsage, error) { return s.disk.fs.GetDiskUsage(s.disk.dir) }
