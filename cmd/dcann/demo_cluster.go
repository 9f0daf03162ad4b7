package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

// demoPatience is how long the demonstration waits for a node or an election, before it says that
// something is wrong.
const demoPatience = 30 * time.Second

// demoCluster is the three nodes of the demonstration.
type demoCluster struct {
	app   *app
	dir   string // as dcann cluster init writes it
	nodes []*demoNode
}

// openDemoCluster makes the cluster under data, or takes the one that an earlier demonstration left.
func (a *app) openDemoCluster(data, http string) (*demoCluster, error) {
	if _, err := os.Lstat(filepath.Join(data, "raft")); err == nil {
		return nil, usagef("--data: %s holds a registry of one node: expected a new directory, or one of an earlier dcann demo", data)
	}
	c := &demoCluster{app: a, dir: filepath.Join(data, "cluster")}
	if _, err := os.Lstat(c.dir); errors.Is(err, fs.ErrNotExist) {
		if err := c.init(); err != nil {
			return nil, err
		}
	}
	_, members, err := openClusterDir(c.dir)
	if err != nil {
		return nil, err
	}
	var env []string
	for name, value := range a.env { // what was said to this process is not for the nodes
		if !strings.HasPrefix(name, variablePrefix) && name != "NOTIFY_SOCKET" {
			env = append(env, name+"="+value)
		}
	}
	for i, p := range members {
		dir := filepath.Join(c.dir, p.Name)
		n := &demoNode{name: p.Name, config: filepath.Join(dir, nodeFile), http: p.HTTP, ready: filepath.Join(dir, "ready"), log: filepath.Join(dir, "log"), env: env}
		if i == 0 {
			n.http = http
		}
		c.nodes = append(c.nodes, n)
	}
	return c, nil
}

func (c *demoCluster) init() error {
	ports, err := freeAddresses(3)
	if err != nil {
		return err
	}
	var plan []plannedNode
	for i, address := range ports {
		plan = append(plan, plannedNode{Name: fmt.Sprintf("n%d", i+1), Address: address, HTTP: "127.0.0.1:0"})
	}
	d := clusterDir{layout: layout{Dir: c.dir, Founders: founders(plan)}}
	if err := d.found(c.app, string(node.DefaultDevCountry), "", func(*registry.Policy) error { return nil }); err != nil {
		return err
	}
	return d.write(plan, c.app.now())
}

// freeAddresses are n addresses of this machine that nobody listens on now.
func freeAddresses(n int) (list []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // when all are found, so that they differ
		list = append(list, l.Addr().String())
	}
	return list, nil
}

// start starts all nodes and waits until they answer.
func (c *demoCluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	for _, n := range c.nodes {
		if err := os.Remove(n.ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := n.start(); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all nodes in good order, at the same time.
func (c *demoCluster) stop() {
	var work sync.WaitGroup
	for _, n := range c.nodes {
		work.Go(func() { n.signal(syscall.SIGTERM, 2*node.DefaultShutdownGrace) })
	}
	work.Wait()
}

// watch lets the registry run until ctx is done, and says when a node ends.
func (c *demoCluster) watch(ctx context.Context) error {
	ended := make(chan *demoNode)
	for _, n := range c.nodes {
		go func() {
			select {
			case <-n.ended:
			case <-ctx.Done():
				return
			}
			select {
			case ended <- n:
			case <-ctx.Done():
			}
		}()
	}
	for range c.nodes {
		select {
		case <-ctx.Done():
			return nil
		case n := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			c.app.say("node %s has ended; start it again with: dcann serve --config %s", n.name, n.config)
		}
	}
	return errors.New("all nodes have ended")
}

// leader waits until a node leads, and says which.
func (c *demoCluster) leader(ctx context.Context) (*demoNode, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	for {
		for _, n := range c.nodes {
			if !n.running() {
				continue
			}
			var o cluster.Overview
			err := c.app.operator(n.admin, time.Second).json(ctx, http.MethodGet, "/cluster", nil, &o)
			if err != nil {
				continue
			}
			i := slices.IndexFunc(c.nodes, func(n *demoNode) bool { return n.name == o.Leader })
			if i >= 0 && c.nodes[i].running() { // not one of whose end nobody knows yet
				return c.nodes[i], nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, unavailable("no node leads: %v", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
