package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/node/peer"
)

const (
	certFile, keyFile, caFile = "cert.pem", "key.pem", "ca.pem"

	operationBytes  = 1 << 10
	operationsEntry = 64

	// What package cluster and node do not export; comparing under the same settings is what this program is for.
	mappedBytes     = 2 * cluster.DefaultTrailingBytes // of address space for the log
	appendEntries   = 64
	logCacheEntries = 64
	transportWait   = 5 * time.Second
	transportPool   = 3

	// proposalWait is long enough for a full disk to be the only reason.
	proposalWait = 30 * time.Second
)

// serve is one of the three processes, from its start to the end of its input.
func serve(ctx context.Context, dir, name string, in io.Reader, out io.Writer) (err error) {
	mesh, err := peer.Open(peer.Config{
		Name: name, Listen: "127.0.0.1:0",
		Cert: filepath.Join(dir, certFile), Key: filepath.Join(dir, keyFile), CA: filepath.Join(dir, caFile),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mesh.Close()) }()
	say, hear := json.NewEncoder(out), json.NewDecoder(in)
	if err := say.Encode(message{Address: mesh.Addr()}); err != nil {
		return err
	}
	var told message
	if err := hear.Decode(&told); err != nil {
		return fmt.Errorf("the members: %w", err)
	}
	db, err := openLog(filepath.Join(dir, "raft.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	logger := hclog.New(&hclog.LoggerOptions{Name: name, Level: hclog.Error})
	r, err := startRaft(dir, name, told.Members, mesh, db, logger)
	if err != nil {
		return err
	}
	defer func() {
		logger.SetLevel(hclog.Off) // that connections end is no news now
		err = errors.Join(err, r.Shutdown().Error())
	}()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loads := make(chan load, 1)
	go func() { // it ends with the process
		defer cancel()
		for hear.Decode(&told) == nil {
			if told.Load != nil {
				loads <- *told.Load
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case leads := <-r.LeaderCh():
			if leads && r.Barrier(proposalWait).Error() == nil {
				err = say.Encode(message{Leader: true})
			}
		case l := <-loads:
			err = say.Encode(lead(ctx, r, l))
		}
		if err != nil {
			return err
		}
	}
}

func openLog(path string) (*raftboltdb.BoltStore, error) {
	return raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		Timeout:         time.Second,
		InitialMmapSize: mappedBytes,
	}})
}

// book says where each name is at this run. Raft knows names only, since the ports change.
type book map[string]string

// ServerAddr implements raft.ServerAddressProvider.
func (b book) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	address, ok := b[string(id)]
	if !ok {
		return "", fmt.Errorf("no member %q", id)
	}
	return raft.ServerAddress(peer.Target(string(id), address)), nil
}

func startRaft(dir, name string, members map[string]string, mesh *peer.Mesh, db *raftboltdb.BoltStore, logger hclog.Logger) (*raft.Raft, error) {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(name)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = cluster.DefaultHeartbeatTimeout, cluster.DefaultHeartbeatTimeout, cluster.DefaultLeaseTimeout
	c.MaxAppendEntries, c.BatchApplyCh = appendEntries, true
	// A node cuts its log at a quarter above what it keeps; its snapshot costs next to nothing, as here.
	c.TrailingLogs = cluster.DefaultTrailingBytes / (operationBytes * operationsEntry)
	c.SnapshotInterval, c.SnapshotThreshold = time.Second, c.TrailingLogs/4
	c.NoSnapshotRestoreOnStart = true
	c.NoLegacyTelemetry = true
	c.Logger = logger
	trans := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		ServerAddressProvider: book(members), Stream: mesh.Raft(), MaxPool: transportPool, MaxRPCsInFlight: cluster.MaxRPCsInFlight,
		Timeout: transportWait, Logger: logger, MsgpackUseNewTimeFormat: true,
	})
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 1, logger)
	if err != nil {
		return nil, err
	}
	begun, err := raft.HasExistingState(db, db, snapshots)
	if err != nil {
		return nil, err
	}
	if !begun {
		var founders raft.Configuration
		for _, n := range names {
			founders.Servers = append(founders.Servers, raft.Server{ID: raft.ServerID(n), Address: raft.ServerAddress(n)})
		}
		if err := raft.BootstrapCluster(c, db, db, snapshots, trans, founders); err != nil {
			return nil, err
		}
	}
	cache, err := raft.NewLogCache(logCacheEntries, db)
	if err != nil {
		return nil, err
	}
	return raft.NewRaft(c, nothing{}, cache, db, snapshots, trans)
}

// lead proposes as fast as entries are committed, InFlight at a time.
func lead(ctx context.Context, r *raft.Raft, l load) message {
	entry := make([]byte, operationBytes*operationsEntry)
	for i := range entry {
		entry[i] = byte(i * 131)
	}
	begin := time.Now().Add(l.WarmUp)
	end := begin.Add(l.Duration)
	took := make([][]time.Duration, l.InFlight)
	errs := make([]error, l.InFlight)
	var all sync.WaitGroup
	for i := range l.InFlight {
		all.Go(func() {
			data := bytes.Clone(entry)
			for ctx.Err() == nil {
				at := time.Now()
				if at.After(end) {
					return
				}
				if errs[i] = r.Apply(data, proposalWait).Error(); errs[i] != nil {
					return
				}
				if done := time.Now(); at.After(begin) && done.Before(end) {
					took[i] = append(took[i], done.Sub(at))
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return message{Error: err.Error()}
	}
	entries := slices.Concat(took...)
	if len(entries) == 0 {
		return message{Error: "not one entry was committed"}
	}
	slices.Sort(entries)
	micros := func(q float64) float64 { return float64(entries[int(q*float64(len(entries)-1))].Nanoseconds()) / 1e3 }
	n := operationsEntry * len(entries)
	return message{Report: &report{
		Operations: n, Seconds: l.Duration.Seconds(), PerSecond: float64(n) / l.Duration.Seconds(),
		InFlight: l.InFlight, EntryBytes: len(entry), P50Micros: micros(0.5), P99Micros: micros(0.99),
	}}
}
