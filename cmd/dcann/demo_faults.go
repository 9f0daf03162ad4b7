package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

// providerMoves is a write that has to get through while nobody leads.
func (s *story) providerMoves(ctx context.Context) error {
	leader, err := s.cluster.leader(ctx)
	if err != nil {
		return err
	}
	s.tell(fmt.Sprintf("Three nodes keep the registry, and one of them leads: %s. Its process is killed, without\na chance to say a word. At that moment Vault One moves to another address.", leader.name))
	fmt.Fprintf(s.out, "\n   $ kill -KILL %d\n", leader.cmd.Process.Pid)
	s.killed = leader
	if err := leader.kill(); err != nil {
		return err
	}
	begun := time.Now()
	moved := *s.vault
	moved.Endpoints = []registry.Endpoint{{Protocol: defaultProtocol, URL: newVaultURL}}
	if _, err := s.operation(ctx, "provider-move", s.keys["vault"], registry.Content{
		Act: registry.Update, ID: s.provider, Prev: s.provider.Create(), Seq: 1, Record: &moved,
	}, http.StatusCreated); err != nil {
		return err
	}
	gap := time.Since(begun).Round(time.Millisecond)
	next, err := s.cluster.leader(ctx)
	if err != nil {
		return err
	}
	s.tell(fmt.Sprintf("The other two have elected %s. Writes paused for %v; whoever only read noticed nothing.", next.name, gap))
	return nil
}

// nodeComesBack starts the killed node and compares the state of all three.
func (s *story) nodeComesBack(ctx context.Context) error {
	n := s.killed
	s.tell(fmt.Sprintf("Node %s is started again, as it was the first time. It fetches by itself what happened\nmeanwhile; then the states of all three are compared.", n.name))
	fmt.Fprintf(s.out, "\n   $ dcann serve --config %s\n", n.config)
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	if err := n.start(); err != nil {
		return err
	}
	if err := n.wait(ctx); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "   $ dcann cluster check --config %s\n", n.config)
	var report cluster.CheckReport
	if err := s.cluster.app.operator(n.admin, demoPatience).json(ctx, http.MethodPost, "/cluster/check", map[string]bool{"full": false}, &report); err != nil {
		return err
	}
	for _, n := range report.Nodes {
		fmt.Fprintf(s.out, "   %s %.20s…%s\n", n.Name, n.Hash, n.Problem)
	}
	if !report.Equal {
		return fmt.Errorf("expected equal states, and they are not: %+v", report)
	}
	for i := range s.cluster.nodes {
		if s.cluster.nodes[i] == n {
			s.asked = i
		}
	}
	return nil
}
