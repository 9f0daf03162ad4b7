package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/registry/state"
)

// Recovery is what Recover did.
type Recovery struct {
	Last    uint64   // index up to which the node goes on
	Without []string // names of the members that are none any more
}

// Recover makes a node that is stopped the only member of its cluster: the way out when a majority is lost for
// ever. What this node's log holds is kept, acknowledged or not; what only the lost nodes had is lost. Run it on
// the node that knows most, and on no other, since two of them would be two registries: the rest is wiped and
// joined again. So the others are asked first, unless force: when a majority of those that vote, with this node, is there and has data,
// or one says that somebody leads, nothing is changed, and the error's kind is Conflict.
func Recover(ctx context.Context, cfg Config, place *Place, force bool) (Recovery, error) {
	if err := cfg.Validate(); err != nil {
		return Recovery{}, err
	}
	cfg = cfg.withDefaults()
	st, err := state.Open(place.State(), state.Options{FS: place.fs})
	if err != nil {
		return Recovery{}, err
	}
	defer st.Close()
	c := &Cluster{cfg: cfg, st: st, place: place, quit: make(chan struct{}), done: make(chan struct{}), living: ctx, hclog: RaftLogger(slog.New(slog.DiscardHandler))}
	if err := c.openStores(); err != nil {
		return Recovery{}, err
	}
	defer func() { _ = c.log.close() }()
	if empty, err := c.empty(); err != nil || empty {
		return Recovery{}, errors.Join(err, fmt.Errorf("there is no data of a cluster in %s", cfg.Dir))
	}
	if err := c.settleInstalled(); err != nil {
		return Recovery{}, err
	}
	if members := c.members(); len(members.Servers) > 0 && !member(members, cfg.Name) {
		return Recovery{}, fmt.Errorf("node %s was removed from its registry, as its own data says: it must not go on with them; empty its data directory and join it", cfg.Name)
	}
	if err := checkTogether(c.log, st); err != nil {
		return Recovery{}, err
	}
	if !force {
		if err := c.lost(ctx); err != nil {
			return Recovery{}, err
		}
	}
	address := cfg.Address
	if address == "" {
		address = cfg.Name
	}
	if err := c.endRestored(); err != nil {
		return Recovery{}, err
	}
	var r Recovery
	r.Last, _ = c.logEnd()
	for _, s := range c.members().Servers {
		if s.ID != raft.ServerID(cfg.Name) {
			r.Without = append(r.Without, string(s.ID))
		}
	}
	return r, c.appendConfiguration(votersOf([]Peer{{Name: cfg.Name, Address: address}}))
}

func votersOf(members []Peer) raft.Configuration {
	var conf raft.Configuration
	for _, p := range members {
		conf.Servers = append(conf.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(p.Name), Address: raft.ServerAddress(p.Address)})
	}
	slices.SortFunc(conf.Servers, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return conf
}

// appendConfiguration writes conf as an entry of a term of its own, which no entry of another node has, and notes
// before without whom this node goes on.
func (c *Cluster) appendConfiguration(conf raft.Configuration) error {
	stable := &stableStore{log: c.log, quit: c.quit, fail: c.fail, strict: true}
	last, lastTerm := c.logEnd()
	term, err := stable.GetUint64(keyCurrentTerm)
	if err != nil && !notFound(err) {
		return err
	}
	term = aloneTerm(max(term, lastTerm))
	if err := c.noteRecovered(last+1, term); err != nil {
		return err
	}
	if err := stable.SetUint64(keyCurrentTerm, term); err != nil {
		return err
	}
	return c.log.StoreLog(&raft.Log{Index: last + 1, Term: term, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(conf), AppendedAt: time.Now()})
}

// Restore makes the data of a node from an archive that Backup wrote: the state as it was, and a Raft log that
// goes on from there with the given members. With the same archive on every member it makes a cluster. A
// truncated or altered archive is refused whole, and leaves nothing; so is one that fit, unless nil, has an error
// for. A crash on the way leaves data that no node starts on.
func Restore(ctx context.Context, cfg Config, dir string, r io.Reader, members []Peer, fit func(archive.Header) error, progress func(done, total int64)) (archive.Header, error) {
	if err := cfg.Validate(); err != nil {
		return archive.Header{}, err
	}
	cfg = cfg.withDefaults()
	if _, err := os.Stat(filepath.Join(cfg.Dir, logFile)); err == nil {
		return archive.Header{}, fmt.Errorf("%s holds a Raft log: expected no data; %s", cfg.Dir, wipe)
	}
	place, err := OpenPlace(vfs.Default, dir)
	if err != nil {
		return archive.Header{}, err
	}
	if held, err := place.Holds(); err != nil || held {
		return archive.Header{}, errors.Join(err, fmt.Errorf("%s holds a state: expected no data; move it away first", dir))
	}
	name := place.receiving(0, 0)
	path := place.fs.PathJoin(dir, name)
	h, err := archive.Receive(place.fs, contextReader{ctx, r}, path, archive.Limits{Reserve: receiveReserve}, progress)
	if err != nil {
		return h, err
	}
	if fit != nil {
		err = fit(h)
	}
	if err == nil {
		err = adopt(place, path, h, votersOf(members))
	}
	if err != nil {
		return h, errors.Join(err, place.fs.RemoveAll(path))
	}
	if err := place.swap(name, h.Index, h.Term); err != nil {
		return h, errors.Join(err, place.discard(name))
	}
	return h, beginLog(cfg, h)
}

// adopt checks that the state is what the archive says it is, and gives it its new members.
func adopt(place *Place, path string, h archive.Header, conf raft.Configuration) error {
	st, err := state.Open(path, state.Options{FS: place.fs})
	if err != nil {
		return err
	}
	index, hash := st.StateHash()
	if hexOf(hash) != h.StateHash || index != h.Index {
		return errors.Join(st.Close(), fmt.Errorf("the state in the archive is as of index %d with hash %x: expected %d with %s, as it says", index, hash, h.Index, h.StateHash))
	}
	if old, _ := st.Configuration(); !bytes.Equal(old, raft.EncodeConfiguration(conf)) {
		err = st.SetConfiguration(raft.EncodeConfiguration(conf), h.Index)
	}
	return errors.Join(err, st.Close())
}

// beginLog makes an empty Raft log of a term that the registry from which the backup came does not reach, so that no
// entry of the two is taken for the same, and which knows that this was restored.
func beginLog(cfg Config, h archive.Header) error {
	if err := makeDir(vfs.Default, cfg.Dir); err != nil {
		return err
	}
	db, err := openLog(filepath.Join(cfg.Dir, logFile), 2*cfg.TrailingBytes)
	if err != nil {
		return err
	}
	// Without the term no node starts on this: it is the last.
	if err = writeRestored(db, h); err == nil {
		err = db.SetUint64(keyCurrentTerm, aloneTerm(h.Term))
	}
	return errors.Join(err, db.Close(), syncDir(cfg.Dir), syncDir(filepath.Dir(cfg.Dir)))
}

// contextReader ends reading with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
