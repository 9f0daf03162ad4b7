package state

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The defaults of Options. At 10 million passports filters and index blocks take about 80 MiB of the cache; of the
// data no cache that fits a node's 1 GiB would hold more than a few in a hundred blocks, and the system
// keeps the files themselves in what memory is free.
const (
	DefaultCacheBytes    = 128 << 20
	DefaultMemTableBytes = 16 << 20
)

// Options are settings of one node; none of them changes what Apply does. The zero value is good.
type Options struct {
	FS vfs.FS // nil: the disk

	// CacheBytes is for blocks read from disk, decompressed; 0 is DefaultCacheBytes.
	CacheBytes int64

	// MemTableBytes is the size of a memtable; up to memTables of them exist while a flush is slow, and
	// two while it is not. 0 is DefaultMemTableBytes.
	MemTableBytes uint64

	// ReadOnly opens a state, as that of a checkpoint, to look at it: ApplyBatch fails.
	ReadOnly bool

	// OnBackgroundError is told when the disk begins to refuse writes, and of damaged files; nil is told to
	// nobody, and DiskError still tells. It is called from any goroutine and must not block or call the Store.
	OnBackgroundError func(error)

	// OnFatal is told when Pebble cannot go on: when its manifest cannot be written, or a file is not what
	// it says. It must end the process; what is on disk stays good. nil panics.
	OnFatal func(error)
}

// memTables is how many memtables may queue before writes wait.
const memTables = 4

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.OnBackgroundError == nil {
		o.OnBackgroundError = func(error) {}
	}
	if o.OnFatal == nil {
		o.OnFatal = func(err error) { panic(err) }
	}
	return o
}

// The layout of tables: blocks large enough that compression finds what records have in common, small
// enough that a random read does not pay for its neighbours. Measured; see BenchmarkDisk.
const (
	blockSize      = 8 << 10
	lastLevelFiles = int64(32 << 20) // small, so that taking an erased row out of the last level rewrites little
)

func (o Options) pebble(d *disk) *pebble.Options {
	p := &pebble.Options{
		FS:                          &patientFS{FS: o.FS, disk: d},
		Cache:                       pebble.NewCache(o.CacheBytes),
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: memTables,
		DisableWAL:                  true, // the Raft log is the log (DESIGN 9, rule 5)
		ReadOnly:                    o.ReadOnly,
		ErrorIfNotExists:            o.ReadOnly,
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                4096,
		Logger:                      quiet{o.OnFatal},
		EventListener: &pebble.EventListener{
			BackgroundError: d.fail,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { d.fail(fmt.Errorf("%s", i.String())) },
			FlushEnd: func(i pebble.FlushInfo) {
				if i.Err == nil {
					d.succeeded()
				}
			},
		},
	}
	for i := range p.Levels {
		l := &p.Levels[i]
		l.BlockSize = blockSize
		l.FilterPolicy = bloom.FilterPolicy(10)
		l.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	for i := range p.TargetFileSizes {
		p.TargetFileSizes[i] = min(int64(4<<20)<<i, lastLevelFiles)
	}
	return p
}

// quiet is Pebble's logger. Nothing below node logs: what matters comes as events and errors.
type quiet struct{ fatal func(error) }

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf must not return, as Pebble relies on it. The goroutine stays here until the process ends.
func (q quiet) Fatalf(format string, args ...any) {
	q.fatal(fmt.Errorf(format, args...))
	select {}
}
