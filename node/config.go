package node

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

// Config is everything a node is told. The zero value of a field means its default, unless it says
// otherwise. The comments are the manual; `dcann serve --help` is short for them.
type Config struct {
	// Data is the directory that holds everything the node must not lose: the Raft log, the state, and
	// with Dev the accreditation key. One process at a time; made with mode 0700 if it is not there. It is
	// best on a disk of its own. Required.
	Data string

	// Name tells this node from the others of the registry. It stays with Data for ever. Default "node-1".
	Name string

	// HTTP is the address of the public listener, host:port; port 0 picks a free one. Default
	// 127.0.0.1:7400, which nobody else can reach: a registry for others names its address.
	HTTP string

	// TLSCert and TLSKey are PEM files; with them the public listener speaks HTTPS only. Changed files are
	// taken up within 10 s without a restart; a pair that does not fit is logged and the old one stays. A key
	// that others than its owner and group can read is refused.
	TLSCert string
	TLSKey  string

	// Admin is where the operator's calls are answered: "unix:<path>", or host:port on a loopback address;
	// "off" for none. Whoever can reach it may do everything, so the socket has mode 0600. Default
	// unix:<Data>/admin.sock.
	Admin string

	// Country is the registry's, two lower-case letters. It is fixed by the first policy; given later, it
	// must be the same. Default: what the policy says, and xz at a first start with Dev.
	Country registry.Country

	// NodeListen is the address of the port where the nodes of a registry talk to each other, by mutual TLS,
	// host:port. Empty: this node is alone.
	NodeListen string

	// NodeAddress is where the others reach NodeListen, host:port. Default: what Nodes says of this node,
	// else NodeListen.
	NodeAddress string

	// Nodes are the founding members of the registry, this node among them, the same on all of them and at
	// every start: they begin the registry together, in any order. A node that is not among them waits to be
	// joined (dcann cluster join); the list tells it whom to ask. With NodeListen at least one is needed.
	Nodes []cluster.Peer

	// NodeCert, NodeKey and NodeCA are PEM files: the certificate of this node, whose DNS name is Name, its
	// key, and the authorities that sign the nodes' certificates. Whoever has a certificate of theirs in the
	// name of a member is that member. Changed files are taken up within 10 s without a restart.
	NodeCert, NodeKey, NodeCA string

	// Replica makes this a read replica, which answers reads and never votes. A node that votes does not start with
	// it: remove that first, and empty Data.
	Replica bool

	// RemoveDeadAfter is how long a member may be silent before it is taken out of the registry, provided that
	// at least three voters remain. Default 10 min, at least 30 s; negative: never.
	RemoveDeadAfter time.Duration

	// ElectionTimeout is how long a node waits for its leader before it stands for election. Longer where the
	// nodes are far apart: ten times the round trip or more. Default 500 ms; at most 2.5 s, since reads want to be
	// no more than 5 s old, and nobody is sure of less than two such waits.
	ElectionTimeout time.Duration

	// Policy is a file with the signed first policy (dcann policy new). A first start needs it, unless Dev;
	// later it may be left out, and if given must not disagree with the policy in force.
	Policy string

	// Dev makes a registry to try things on: at the first start an accreditation key is made under Data
	// (accreditation.pem, mode 0600) and a first policy is signed with it. Only user-assigned countries
	// (DESIGN 3), since whoever holds the machine can accredit anybody.
	Dev bool

	// RecoveryWindow is how long a stronger key can undo what weaker ones did, in whole seconds, 1 s to
	// 30 days. Only with Dev: others state it in the policy. Default 72 h.
	RecoveryWindow time.Duration

	// MinFree is the free space under Data, in bytes, below which nothing is written any more: clients get
	// 503 and nothing breaks; writing resumes when there is space again. It must hold what a node writes
	// in a second, and a flush of its memory. Default 256 MiB.
	MinFree uint64

	// LogBytes is how much of the Raft log is kept, in bytes, for nodes that were away: one that was away for
	// longer gets the whole state instead, and while it does, and for half a minute after, up to eight times as much
	// is kept. Default 256 MiB; at least 256 KiB.
	LogBytes int64

	// ScrubEvery is how often the files are rewritten if something was erased since, so that erased bytes
	// leave the disk. Default 1 h.
	ScrubEvery time.Duration

	// ShutdownGrace is how long running requests may take to end when the node is stopped. Default 10 s.
	ShutdownGrace time.Duration

	// CacheBytes is the memory for blocks of the state on disk. Default 128 MiB, at least 1 MiB.
	CacheBytes int64

	// RequestsPerSecond and CreationsPerHour are limits per network address, counted on this node alone.
	// Default 1000 and 100, which 0 means too; negative: no limit.
	RequestsPerSecond, CreationsPerHour int

	// LimitLoopback applies the limits per address to clients on this machine too. Default: they are exempt.
	LimitLoopback bool

	// TrustedProxies are networks whose X-Forwarded-For is believed. Default: none.
	TrustedProxies []netip.Prefix
}

// The bounds of ElectionTimeout.
const (
	minElectionTimeout = 50 * time.Millisecond
	maxElectionTimeout = cluster.MaxLeaseTimeout * 5 / 4
)

// The least that is of use: a smaller cache holds no working set at all, and a member that restarts is not dead.
const (
	minCacheBytes      = 1 << 20
	minRemoveDeadAfter = 30 * time.Second
)

// leaseTimeout is how long who leads does so without hearing from a majority.
func (c Config) leaseTimeout() time.Duration { return c.ElectionTimeout * 4 / 5 }

// The defaults of Config.
const (
	DefaultName          = "node-1"
	DefaultHTTP          = "127.0.0.1:7400"
	DefaultMinFree       = 256 << 20
	DefaultScrubEvery    = time.Hour
	DefaultShutdownGrace = 10 * time.Second
	DefaultDevCountry    = registry.Country("xz")
)

// AdminOff is the Config.Admin of a node without admin listener.
const AdminOff = "off"

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	def := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	def(&c.Name, DefaultName)
	def(&c.HTTP, DefaultHTTP)
	def(&c.Admin, "unix:"+filepath.Join(c.Data, "admin.sock"))
	for _, p := range c.Nodes {
		if p.Name == c.Name {
			def(&c.NodeAddress, p.Address)
		}
	}
	def(&c.NodeAddress, c.NodeListen)
	if c.ElectionTimeout == 0 {
		c.ElectionTimeout = cluster.DefaultHeartbeatTimeout
	}
	if c.RemoveDeadAfter == 0 {
		c.RemoveDeadAfter = cluster.DefaultRemoveDeadAfter
	}
	if c.MinFree == 0 {
		c.MinFree = DefaultMinFree
	}
	if c.ScrubEvery == 0 {
		c.ScrubEvery = DefaultScrubEvery
	}
	if c.ShutdownGrace == 0 {
		c.ShutdownGrace = DefaultShutdownGrace
	}
	return c
}

// Validate finds what can be found wrong without looking at the machine; defaults are filled in first. The
// message names both values that disagree. The error's kind is Invalid.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Data == "" {
		return invalid("data: expected the directory to keep the registry in")
	}
	if !cluster.IsName(c.Name) {
		return invalid("name %q: expected 1 to 63 of a-z, 0-9, . and -, first and last neither . nor -", c.Name)
	}
	if _, port, err := net.SplitHostPort(c.HTTP); err != nil {
		return invalid("http %q: expected host:port", c.HTTP)
	} else if _, err := net.LookupPort("tcp", port); err != nil {
		return invalid("http %q: expected a port of 0 to 65535, or the name of one", c.HTTP)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return invalid("tls-cert is %q and tls-key is %q: expected both or neither", c.TLSCert, c.TLSKey)
	}
	if err := c.validateAdmin(); err != nil {
		return err
	}
	if c.Country != "" {
		if _, err := registry.ParseCountry(string(c.Country)); err != nil {
			return err
		}
	}
	switch {
	case c.ScrubEvery < 0:
		return invalid("scrub-every is %v: expected not to be negative", c.ScrubEvery)
	case c.LogBytes != 0 && c.LogBytes < 256<<10:
		return invalid("log-bytes is %d: expected at least %d", c.LogBytes, 256<<10)
	case c.ShutdownGrace < 0:
		return invalid("shutdown-grace is %v: expected not to be negative", c.ShutdownGrace)
	case c.CacheBytes != 0 && c.CacheBytes < minCacheBytes:
		return invalid("cache-bytes is %d: expected at least %d", c.CacheBytes, minCacheBytes)
	case c.ElectionTimeout < minElectionTimeout:
		return invalid("election-timeout is %v: expected %v to %v", c.ElectionTimeout, minElectionTimeout, maxElectionTimeout)
	case c.ElectionTimeout > maxElectionTimeout:
		return invalid("election-timeout is %v and bounded reads are at most %v old: expected at most %v, with more no node is ever sure that what it shows is recent enough",
			c.ElectionTimeout, cluster.MaxContactAge, maxElectionTimeout)
	case c.RemoveDeadAfter >= 0 && c.RemoveDeadAfter < minRemoveDeadAfter:
		return invalid("remove-dead-after is %v: expected at least %v, which a restart takes, or to be negative for never", c.RemoveDeadAfter, minRemoveDeadAfter)
	}
	if err := c.validateNodes(); err != nil {
		return err
	}
	return c.validateDev()
}

// clustered reports whether the node has others.
func (c Config) clustered() bool { return c.NodeListen != "" }

func (c Config) validateNodes() error {
	if !c.clustered() {
		for name, given := range map[string]bool{"node": len(c.Nodes) > 0, "node-address": c.NodeAddress != "", "node-cert": c.NodeCert != "",
			"node-key": c.NodeKey != "", "node-ca": c.NodeCA != "", "replica": c.Replica} {
			if given {
				return invalid("%s without node-listen: expected the address where the nodes talk to each other", name)
			}
		}
		return nil
	}
	for name, address := range map[string]string{"node-listen": c.NodeListen, "node-address": c.NodeAddress} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return invalid("%s %q: expected host:port", name, address)
		}
	}
	for name, file := range map[string]string{"node-cert": c.NodeCert, "node-key": c.NodeKey, "node-ca": c.NodeCA} {
		if file == "" {
			return invalid("node-listen is %s and %s is empty: expected a PEM file (dcann cluster init makes them)", c.NodeListen, name)
		}
	}
	if c.Dev {
		return invalid("dev with node-listen %s: a test registry of several nodes is made by dcann cluster init", c.NodeListen)
	}
	if err := c.validateMembers(); err != nil {
		return err
	}
	if err := c.cluster(nil).Validate(); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// validateMembers checks what is said of this node and others together.
func (c Config) validateMembers() error {
	host, _, _ := net.SplitHostPort(c.NodeAddress)
	if ip, err := netip.ParseAddr(host); c.NodeAddress != c.NodeListen && (host == "" || err == nil && ip.IsUnspecified()) {
		return invalid("node-address %q: expected an address at which others reach this node, which may listen on all", c.NodeAddress)
	}
	if len(c.Nodes) == 0 {
		return invalid("node-listen is %s and node is empty: expected the founding members, NAME=HOST:PORT, or whom to ask", c.NodeListen)
	}
	names, addresses := map[string]bool{}, map[string]string{}
	for _, p := range c.Nodes {
		if !cluster.IsName(p.Name) {
			return invalid("node %s=%s: the name is %q: expected 1 to 63 of a-z, 0-9, . and -", p.Name, p.Address, p.Name)
		}
		if names[p.Name] {
			return invalid("node: %s is named twice", p.Name)
		}
		if other := addresses[p.Address]; other != "" {
			return invalid("node: %s and %s are both at %s: expected an address of its own for each", other, p.Name, p.Address)
		}
		names[p.Name], addresses[p.Address] = true, p.Name
	}
	if c.Replica && names[c.Name] {
		return invalid("replica, and %s is among the founding members that node lists: expected it to be joined later", c.Name)
	}
	return nil
}

func (c Config) validateDev() error {
	switch {
	case !c.Dev && c.RecoveryWindow != 0:
		return invalid("recovery-window is %v without dev: outside test registries the signed policy states it", c.RecoveryWindow)
	case c.Dev && c.Policy != "":
		return invalid("dev signs its own first policy, and policy is %q: expected only one of them", c.Policy)
	case c.Dev && c.Country != "" && !c.Country.UserAssigned():
		return invalid("dev with country %s: expected a user-assigned one (aa, qm-qz, xa-xz but xk, zz), such as %s", c.Country, DefaultDevCountry)
	case c.RecoveryWindow%time.Second != 0 || c.RecoveryWindow < 0 || c.RecoveryWindow > 30*24*time.Hour:
		return invalid("recovery-window is %v: expected whole seconds, at most 720h", c.RecoveryWindow)
	}
	return nil
}

// maxSocketPath is what the smallest of the usual systems allows for the path of a unix socket.
const maxSocketPath = 103

func (c Config) validateAdmin() error {
	if c.Admin == AdminOff {
		return nil
	}
	if path, ok := strings.CutPrefix(c.Admin, "unix:"); ok {
		if path == "" || len(path) > maxSocketPath {
			return invalid("admin %q: a socket's path has 1 to %d bytes; name a shorter one with admin, or %q", c.Admin, maxSocketPath, AdminOff)
		}
		return nil
	}
	host, _, err := net.SplitHostPort(c.Admin)
	if err != nil {
		return invalid("admin %q: expected unix:<path>, host:port or %q", c.Admin, AdminOff)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return invalid("admin %q: expected a loopback address, since whoever reaches it may do everything", c.Admin)
	}
	return nil
}
