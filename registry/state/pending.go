package state

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

type Options struct {
	FS                vfs.FS      // nil: the disk
	CacheBytes        int64       // block cache; default 256 MiB
	MemTableBytes     uint64      // of one memtable; default 32 MiB
	ReadOnly          bool        // refuses Apply; for inspecting checkpoints
	OnBackgroundError func(error) // flush or compaction failed (as on a full disk) and will be retried; must not block
}
type Store struct{}
type Proposal struct{ command Command }
type Stamp struct{ more []struct{} }
type EntryType uint8
type JournalEntry struct {
	Position   uint64
	Type       EntryType
	Subject    registry.SubjectKey
	Seq        uint64
	Time       registry.Millis
	Salt       *[32]byte // nil once erased
	Commitment [32]byte
	ID         registry.ID // of organisations only
	Object     []byte      // the signed object's compact JWS; of organisations only
}
type View struct {
	ID               registry.ID
	Kind             registry.RecordKind
	Status           registry.Status
	Head             registry.OpID
	Seq              uint64
	Created, Updated registry.Millis
	FinalAt          registry.Millis // 0: none; may lie in the past
	Version          registry.OpID   // the operation this view is of
	VersionSeq       uint64
	VersionTime      registry.Millis
	NextVersion      registry.OpID // empty: none
	NextUpdate       registry.Millis
	Undone           bool
	Rotation         []jws.Multikey
	Keys             []registry.Key
	RecordJSON       []byte
	Strands          []StrandView
	Organisation     *OrganisationView
	Position         uint64
	Stamp            Stamp
}
type StrandView struct {
	registry.Disclosure
	Acceptance       *registry.AcceptanceState
	Withheld         registry.Withheld
	Endpoints        []registry.Endpoint // the provider's
	ProviderPosition uint64
}
type OrganisationView struct {
	Standing registry.OrgStatus
	Epoch    uint64
	Since    registry.Millis
	Reason   string
	Record   *registry.Record
}
type HistoryEntry struct {
	Operation     *registry.Operation // with the disclosures still held
	Seq, Position uint64
	Time          registry.Millis
	Undone        bool
}
type OrganisationQuery struct {
	Role               registry.Role      // empty: any
	Name               string             // prefix, case ignored
	Domain, LEI        string             // exact
	Status             registry.OrgStatus // empty: any
	IncludeDeactivated bool
	After              string // next of the page before
	Limit              int    // 1 to 1000; default 100
}
type Metrics struct{ DiskBytes uint64 }

const MaxLevel = 1

func Open(dir string, o Options) (*Store, error)                { panic("pending") }
func (s *Store) Close() error                                   { panic("pending") }
func (b *Batch) Encode() ([]byte, error)                        { panic("pending") }
func (c *Command) Size() int                                    { panic("pending") }
func DecodeBatch([]byte) (*Batch, error)                        { panic("pending") }
func (s *Store) ApplyBatch(entries []Entry) ([][]Result, error) { panic("pending") }
func (p Proposal) Command() Command                             { return p.command }
func (s *Store) CheckOperation(op *registry.Operation, now registry.Millis) (Proposal, *Result, error) {
	panic("pending")
}
func (s *Store) CheckStatus(st *registry.StatusStatement, now registry.Millis) (Proposal, *Result, error) {
	panic("pending")
}
func (s *Store) CheckAcceptance(a *registry.Acceptance, now registry.Millis) (Proposal, *Result, error) {
	panic("pending")
}
func (s *Store) CheckPolicy(raw []byte) (Proposal, *Result, error) { panic("pending") }
func (s *Store) LevelProposal(level uint32) (Proposal, error)      { panic("pending") }
func TickProposal() Proposal                                       { panic("pending") }
func (s *Store) Applied() (index, term uint64)                     { panic("pending") }
func (s *Store) DurableIndex() (uint64, error)                     { panic("pending") }
func (s *Store) Flush() error                                      { panic("pending") }
func (s *Store) Configuration() (data []byte, index uint64)        { panic("pending") }
func (s *Store) SetConfiguration(data []byte, index uint64) error  { panic("pending") }
func (s *Store) DiskError() error                                  { panic("pending") }
func (s *Store) Policy() *registry.Policy                          { panic("pending") }
func (s *Store) Level() uint32                                     { panic("pending") }
func (s *Store) StateHash() (index uint64, hash [32]byte)          { panic("pending") }
func (s *Store) NextPosition() uint64                              { panic("pending") }
func (s *Store) LastTime() registry.Millis                         { panic("pending") }
func (s *Store) DueTick(now registry.Millis) bool                  { panic("pending") }
func (s *Store) Home(id registry.ID) registry.Country              { panic("pending") }
func (s *Store) Record(id registry.ID) (*View, error)              { panic("pending") }
func (s *Store) RecordAtVersion(id registry.ID, op registry.OpID) (*View, error) {
	panic("pending")
}
func (s *Store) RecordAtTime(id registry.ID, t registry.Millis) (*View, error) { panic("pending") }
func (s *Store) Current(st Stamp) bool                                         { panic("pending") }
func (s *Store) History(id registry.ID, after *uint64, limit int) (entries []HistoryEntry, more bool, err error) {
	panic("pending")
}
func (e JournalEntry) Leaf() [82]byte                                   { panic("pending") }
func (s *Store) Journal(from uint64, limit int) ([]JournalEntry, error) { panic("pending") }
func (s *Store) Grown() <-chan struct{}                                 { panic("pending") }
func (s *Store) Organisations(q OrganisationQuery) (views []*View, next string, err error) {
	panic("pending")
}
func (s *Store) CompactErased(ctx context.Context) error                         { panic("pending") }
func (s *Store) ErasureIndex() uint64                                            { panic("pending") }
func (s *Store) Checkpoint(dir string) error                                     { panic("pending") }
func (s *Store) Metrics() Metrics                                                { panic("pending") }
func (s *Store) VerifyContent(ctx context.Context) error                         { panic("pending") }
func (s *Store) Scan(ctx context.Context, f func(key, value []byte) error) error { panic("pending") }
