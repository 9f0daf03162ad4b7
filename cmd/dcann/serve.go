package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// serveFlags are the flags of serve: node.Config, and how the process presents itself.
type serveFlags struct {
	config    node.Config
	country   string
	proxies   []string
	nodes     []string
	file      string // --config
	readyFile string
	logFormat string
	logLevel  string
}

func (s *serveFlags) add(f *pflag.FlagSet) {
	c := &s.config
	f.StringVar(&s.file, "config", "", "YAML file with these flags as names, paths from its directory; flags and DCANN_* win over it")
	f.StringVar(&c.Data, "data", "", "directory that holds the registry; one process at a time")
	f.StringVar(&c.Name, "name", node.DefaultName, "name of this node, for ever")
	f.StringVar(&c.HTTP, "http", node.DefaultHTTP, "public address, host:port; port 0 picks a free one")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM certificate: serve HTTPS; reloaded when it changes")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM key of --tls-cert")
	f.StringVar(&c.Admin, "admin", "", "operator's address: unix:PATH, loopback host:port, or off (default unix:DATA/admin.sock)")
	f.StringVar(&s.country, "country", "", "country of the registry; must be that of the policy")
	f.StringVar(&c.Policy, "policy", "", "signed first policy, for the first start (dcann policy new)")
	f.BoolVar(&c.Dev, "dev", false, "a registry to try things on: makes its own accreditation key and policy under --data")
	f.DurationVar(&c.RecoveryWindow, "recovery-window", 0, "with --dev: how long stronger keys can undo (default 72h)")
	c.MinFree = node.DefaultMinFree
	f.Var(size[uint64]{&c.MinFree}, "min-free", "free disk below which writes are refused, in bytes or as 512MiB")
	f.Var(size[int64]{&c.LogBytes}, "log-bytes", "log kept for nodes that were away, in bytes or as 256MiB (default 256MiB)")
	f.DurationVar(&c.ScrubEvery, "scrub-every", node.DefaultScrubEvery, "how often erased data is made to leave the files")
	f.DurationVar(&c.ShutdownGrace, "shutdown-grace", node.DefaultShutdownGrace, "how long requests may take to end at a stop")
	f.Var(size[int64]{&c.CacheBytes}, "cache-bytes", "memory for blocks of the state on disk (default 128MiB)")
	f.IntVar(&c.RequestsPerSecond, "requests-per-second", 0, "limit of one address (0 or not set: 1000, negative: none)")
	f.IntVar(&c.CreationsPerHour, "creations-per-hour", 0, "limit of one address (0 or not set: 100, negative: none)")
	f.BoolVar(&c.LimitLoopback, "limit-loopback", false, "apply these limits to this machine too")
	f.StringSliceVar(&s.proxies, "trusted-proxies", nil, "networks whose X-Forwarded-For is believed, such as 10.0.0.0/8")
	s.addCluster(f)
	f.StringVar(&s.readyFile, "ready-file", "", "file that is there, with the node's addresses as JSON, while the node answers")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	mark(f, isPath, "data", "policy", "tls-cert", "tls-key", "node-cert", "node-key", "node-ca", "ready-file")
	mark(f, isSocket, "admin")
}

func newServeCommand(a *app) *cobra.Command {
	var s serveFlags
	c := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "run a node of a registry",
		Long: `Runs a node until it is interrupted. All it must not lose is under --data.

A first start needs the signed policy of the registry (dcann policy new), or --dev, which
makes a registry to try things on: the accreditation key is then DATA/accreditation.pem.

Every flag can also be set in the environment, as DCANN_ and its name in upper case with
_ for -, or in the YAML file of --config under its name. A flag wins over the environment,
the environment over the file. Relative paths in the file are from the file's directory.

Several nodes are one registry: dcann cluster init writes what each needs into a file for
--config. Without --node-listen a node is alone.`,
		Example: `  dcann serve --dev --country xz --data ./d
  dcann serve --data /var/lib/dcann --policy fr.jwt --http :443 --tls-cert c.pem --tls-key k.pem
  DCANN_DATA=/var/lib/dcann dcann serve --config /etc/dcann.yaml
  dcann serve --config cluster/n1/node.yaml`,
		Args: exactly(),
	}
	s.add(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := a.configure(c.LocalNonPersistentFlags()); err != nil {
			return err
		}
		config, err := s.nodeConfig()
		if err != nil {
			return err
		}
		log, err := s.logger(a)
		if err != nil {
			return err
		}
		return a.serve(c.Context(), config, s.readyFile, log)
	}
	return c
}

// nodeConfig is the Config that the flags say, validated; the error is one of usage.
func (s *serveFlags) nodeConfig() (node.Config, error) {
	s.config.Country = registry.Country(s.country)
	for _, text := range s.proxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return node.Config{}, usagef("--trusted-proxies %q: expected a network such as 10.0.0.0/8", text)
		}
		s.config.TrustedProxies = append(s.config.TrustedProxies, network)
	}
	for _, text := range s.nodes {
		peer, err := parsePeer(text)
		if err != nil {
			return node.Config{}, usageError{fmt.Errorf("--node %w", err)}
		}
		s.config.Nodes = append(s.config.Nodes, peer)
	}
	if err := s.config.Validate(); err != nil {
		return node.Config{}, usageError{err}
	}
	return s.config, nil
}

func (s *serveFlags) logger(a *app) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, usagef("--log-level %q: expected debug, info, warn or error", s.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(a.stderr, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.stderr, options)), nil
	}
	return nil, usagef("--log-format %q: expected text or json", s.logFormat)
}

// readiness is what the ready file holds.
type readiness struct {
	HTTP    string           `json:"http"`
	Admin   string           `json:"admin"`
	Country registry.Country `json:"country"`
}

// serve runs a node until ctx is done, and says so to who waits: by the ready file, and to a service manager.
func (a *app) serve(ctx context.Context, config node.Config, readyFile string, log *slog.Logger) (err error) {
	switch err := errors.Join(unannounce(readyFile), tryAnnounce(readyFile)); {
	case errors.Is(err, syscall.ENOSPC):
		return configError(err)
	case err != nil:
		return usageError{fmt.Errorf("--ready-file: %w", err)}
	}
	manager, err := a.notifier()
	if err != nil {
		return usageError{err}
	}
	defer manager.close()
	manager.send("STATUS=opening the registry")
	n, err := node.Open(ctx, config, buildVersion(), log)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // stopped before it began
	case err != nil:
		return configError(err)
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	manager.send("STATUS=waiting until the registry can be read and written")
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go endBroken(n, config.ShutdownGrace, log)
	var work sync.WaitGroup
	var announced error
	work.Go(func() { manager.live(ctx) })
	work.Go(func() {
		select {
		case <-n.Ready():
			if err := announce(n, readyFile); err != nil {
				announced = fmt.Errorf("--ready-file: %w", err)
				stop() // who waits for it would wait for ever
				break
			}
			manager.send("READY=1\nSTATUS=answering at " + n.URL())
			<-ctx.Done()
		case <-ctx.Done():
		}
		manager.send("STOPPING=1\nSTATUS=stopping")
	})
	err = n.Run(ctx)
	stop()
	work.Wait()
	return errors.Join(configError(err), configError(announced), unannounce(readyFile))
}

// brokenGrace is how long a broken node may take to end, beyond what requests are given.
const brokenGrace = 10 * time.Second

// endBroken ends the process when a broken node does not end by itself: its disk hangs, and so does whatever
// waits for it. There is nothing to lose by that, for nothing is acknowledged any more.
func endBroken(n *node.Node, grace time.Duration, log *slog.Logger) {
	<-n.Broken()
	time.Sleep(grace + brokenGrace)
	log.Error("the node does not end, its disk hangs: the process is ended")
	os.Exit(exitUnavailable)
}

// configError marks an error of the configuration as one of usage: the same start would fail again. When there is
// space it would not.
func configError(err error) error {
	switch {
	case errors.Is(err, registry.Invalid):
		return usageError{err}
	case errors.Is(err, syscall.ENOSPC) && !errors.Is(err, registry.Unavailable):
		return &registry.Error{Kind: registry.Unavailable, Detail: err.Error()}
	}
	return err
}

// unannounce removes the ready file of a node that does not answer, or not any more.
func unannounce(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unannounced is the ready file while it is written.
func unannounced(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// tryAnnounce finds out before the node is opened whether the ready file can be written.
func tryAnnounce(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(unannounced(path), nil, 0o644); err != nil {
		return err
	}
	return os.Remove(unannounced(path))
}

// announce writes the ready file, whole or not at all, so that who waits for it can read it at once.
func announce(n *node.Node, path string) error {
	if path == "" {
		return nil
	}
	text, err := wire.Encode(readiness{n.URL(), n.Admin(), n.Country()})
	if err != nil {
		return err
	}
	tmp := unannounced(path)
	if err := os.WriteFile(tmp, append(text, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o644); err != nil { // whatever the umask: it is for others to wait for
		return err
	}
	return os.Rename(tmp, path)
}
