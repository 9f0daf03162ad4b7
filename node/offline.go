package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/node/peer"
)

// Restore makes the data of a node that has none from an archive that GET /backup of the admin listener gave.
// The node goes on alone, or, when config names founding members, with them: each is restored from the same
// archive, while no node of the old registry runs any more. A truncated or altered archive is refused whole.
// progress, unless nil, is told how many bytes are done.
func Restore(ctx context.Context, config Config, r io.Reader, progress func(done, total int64)) (archive.Header, error) {
	config, release, err := takeOffline(config)
	if err != nil {
		return archive.Header{}, err
	}
	members := []cluster.Peer{{Name: config.Name, Address: config.Name}}
	if config.clustered() {
		members = config.Nodes
		if !slices.ContainsFunc(members, func(p cluster.Peer) bool { return p.Name == config.Name }) {
			return archive.Header{}, errors.Join(release(), invalid("node %s is not among the founding members %v: it gets its state by being joined (dcann cluster join), not by a restore", config.Name, members))
		}
	}
	fit := func(h archive.Header) error {
		if config.Country != "" && h.Country != "" && string(config.Country) != h.Country {
			return invalid("the archive is of the registry of country %s, and the settings say %s", h.Country, config.Country)
		}
		return nil
	}
	h, err := cluster.Restore(ctx, config.cluster(nil), config.Data, r, members, fit, progress)
	return h, errors.Join(err, release())
}

// Recover makes a node that is stopped, and whose registry has lost its majority for ever, its only member. Unless
// force, it first asks the others whether that is so. See cluster.Recover for what is lost by it.
func Recover(ctx context.Context, config Config, force bool) (cluster.Recovery, error) {
	config, release, err := takeOffline(config)
	if err != nil {
		return cluster.Recovery{}, err
	}
	switch begun, err := checkData(config.Data); {
	case err != nil:
		return cluster.Recovery{}, errors.Join(err, release())
	case !begun:
		return cluster.Recovery{}, errors.Join(invalid("there is no registry under %s: expected the data of a node that ran", config.Data), release())
	}
	done, err := recoverOffline(ctx, config, force)
	return done, errors.Join(err, release())
}

func recoverOffline(ctx context.Context, config Config, force bool) (done cluster.Recovery, err error) {
	place, err := cluster.OpenPlace(vfs.Default, config.Data)
	if err != nil {
		return done, err
	}
	var links cluster.Network
	if config.clustered() && !force {
		m, err := peer.Open(peer.Config{
			Name: config.Name, Listen: nowhere, Cert: config.NodeCert, Key: config.NodeKey, CA: config.NodeCA,
			Admit: func(string) bool { return false },
		})
		if err != nil {
			return done, invalid("the other nodes cannot be asked whether they are lost: %v", err)
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		links = &mesh{peer: m, log: slog.New(slog.DiscardHandler)}
	}
	return cluster.Recover(ctx, config.cluster(links), place, force)
}

// nowhere is where a command asks other nodes from, which are not to ask it.
const nowhere = "localhost:0"

// takeOffline completes a configuration and takes its data directory, which no running node may have.
func takeOffline(config Config) (Config, func() error, error) {
	config, err := config.complete()
	if err != nil {
		return config, nil, err
	}
	lock, err := lockDir(config.Data)
	if err != nil {
		return config, nil, fmt.Errorf("the node must be stopped: %w", err)
	}
	if err := checkSpace(config.Data, startFree); err != nil {
		return config, nil, errors.Join(err, lock.release())
	}
	return config, lock.release, nil
}
