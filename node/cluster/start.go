package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// wipe ends the message of every refusal to start on data that do not belong together.
const wipe = "wipe the directories of the log and of the state together, then rejoin the cluster or restore a backup"

var keyCurrentTerm = []byte("CurrentTerm") // as hashicorp/raft spells it

// checkTogether refuses a log and a state that do not belong together (DESIGN 9, rule 2), F..L being the
// log and D the durable state:
//   - F > D+1: entries between are gone, and with them what they did;
//   - the log's entry at D has another term: these are two histories;
//   - the state has seen a term that the log's file has not: the file was lost or is older, and so is the
//     node's vote.
func checkTogether(log *logStore, st *state.Store) error {
	durable, err := st.DurableIndex()
	if err != nil {
		return err
	}
	_, term := st.Applied()
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	if first > durable+1 {
		return fmt.Errorf("the Raft log begins at %d but the state ends at %d: expected the log to begin at %d or before, the entries between are lost: %s", first, durable, durable+1, wipe)
	}
	if current, err := log.getUint64(keyCurrentTerm); err != nil && !notFound(err) {
		return err
	} else if current < term {
		return fmt.Errorf("the state has applied an entry of term %d but the Raft log's file knows terms up to %d only: the file was lost or is an older copy: %s", term, current, wipe)
	}
	var l raft.Log
	if first > 0 && first <= durable && durable <= last {
		if err := log.GetLog(durable, &l); err != nil {
			return fmt.Errorf("entry %d of the Raft log, the last that the state holds: %w", durable, err)
		}
		if l.Term != term {
			return fmt.Errorf("entry %d has term %d in the Raft log and %d in the state: they are of different histories: %s", durable, l.Term, term, wipe)
		}
	}
	if durable < last {
		if err := log.GetLog(durable+1, &l); err != nil {
			return fmt.Errorf("entry %d of the Raft log, the first that the state needs: %w: %s", durable+1, err, wipe)
		}
	}
	return nil
}

// notFound tells raft-boltdb's error for a missing key, which Raft itself knows by its text.
func notFound(err error) bool { return err.Error() == "not found" }

// bootstrap writes the first entry, the configuration with servers as voters, if neither log nor state
// holds anything. Unlike raft.BootstrapCluster it can be repeated after a crash between its steps. Who is alone goes
// on in a random term, far from all others: it might do this a second time, with the others away.
func bootstrap(log *logStore, stable *stableStore, st *state.Store, servers []raft.Server) error {
	index, _ := st.Applied()
	last, err := log.LastIndex()
	if err != nil || index > 0 || last > 0 {
		return err
	}
	if term, err := stable.GetUint64(keyCurrentTerm); err == nil && term > 1 {
		return nil // it has voted in a cluster that exists
	}
	if err := stable.SetUint64(keyCurrentTerm, 1); err != nil {
		return err
	}
	data := raft.EncodeConfiguration(raft.Configuration{Servers: servers})
	if err := log.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: data, AppendedAt: time.Now()}); err != nil {
		return err
	}
	if len(servers) > 1 { // as many terms, and elections to agree on one; all would have to do it again
		return nil
	}
	return stable.SetUint64(keyCurrentTerm, aloneTerm(1)) // last: with another term and no log it would not be tried again
}

// maxAppendEntries is how many entries Raft writes, sends or applies at once. Entries are large already.
const maxAppendEntries = 64

// logCacheEntries is how many of the newest entries stay in memory for followers: at most 32 MiB.
const logCacheEntries = 64

// never is an interval or a count that is not reached: when to snapshot is housekeeping's to say.
const never = 24 * 365 * time.Hour

// MaxRPCsInFlight is how many messages of Raft may be under way to one node. With two, which is pipelining,
// a sender can wait for ever after one rejected message (DESIGN 9).
const MaxRPCsInFlight = 1

func raftConfig(cfg Config, log hclog.Logger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(cfg.Name)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = cfg.HeartbeatTimeout, cfg.HeartbeatTimeout, cfg.LeaseTimeout
	c.MaxAppendEntries, c.BatchApplyCh = maxAppendEntries, true
	c.NoSnapshotRestoreOnStart = true
	c.SnapshotInterval, c.SnapshotThreshold = never, 1<<62
	c.NoLegacyTelemetry = true
	c.Logger = log
	c.ShutdownOnRemove = false // a node that was removed says so; it does not just end
	return c
}

// soleVoter reports whether c's only voter is name: then nobody else can have committed anything.
func soleVoter(c raft.Configuration, name string) bool {
	voters, own := 0, false
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			voters++
			own = own || s.ID == raft.ServerID(name)
		}
	}
	return own && voters == 1
}

// otherVoters reports whether somebody else votes in c.
func otherVoters(c raft.Configuration, name string) bool {
	return slices.ContainsFunc(c.Servers, func(s raft.Server) bool {
		return s.Suffrage == raft.Voter && s.ID != raft.ServerID(name)
	})
}

// toldOfNone refuses a member whose settings have lost the others: it could never lead nor follow.
func toldOfNone(c raft.Configuration) error {
	var names []string
	for _, s := range c.Servers {
		names = append(names, string(s.ID))
	}
	return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf(
		"these data are of a registry of the nodes %s, and this node is told of no others: expected node-listen, node and the certificates in its settings, as before (dcann cluster recover makes a node the only one)", strings.Join(names, ", "))}
}

// votesAsReplica refuses settings by which a voter is a replica: it would keep its vote, count for the majority, and
// could lead.
func (c *Cluster) votesAsReplica() error {
	if !c.cfg.Replica {
		return nil
	}
	conf, err := c.newest()
	if err != nil || !slices.Contains(votersAmong(conf), c.cfg.Name) {
		return err
	}
	return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf(
		"node %s votes, as its data say, and its settings say replica: take replica out of its settings; or remove it (dcann cluster remove %s), empty its data directory, start it and join it as a replica (dcann cluster join --replica)", c.cfg.Name, c.cfg.Name)}
}

var errNotMember = errors.New("this node's name is not in the Raft configuration of its data: was it renamed?")

func member(c raft.Configuration, name string) bool {
	for _, s := range c.Servers {
		if s.ID == raft.ServerID(name) {
			return true
		}
	}
	return false
}
