package fleet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry/wire"
)

// ask makes one call to the operator's address of a node; question and answer may be nil.
func (n *Node) ask(ctx context.Context, method, path string, question, answer any) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(n.admin(), "unix:"))
		},
	}}
	var body []byte
	if question != nil {
		var err error
		if body, err = wire.Encode(question); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %s: %w", n.Name, path, err)
	case res.StatusCode/100 != 2:
		return fmt.Errorf("%s: %s: %w", n.Name, path, wire.ReadProblem(res.StatusCode, res.Header, text, time.Now()))
	case answer == nil:
		return nil
	}
	return wire.Decode(text, answer)
}

// Overview is what the node knows of the cluster, or the leader that it asks.
func (n *Node) Overview(ctx context.Context) (cluster.Overview, error) {
	var o cluster.Overview
	return o, n.ask(ctx, http.MethodGet, "/cluster", nil, &o)
}

// Join makes other a member; n is one already.
func (n *Node) Join(ctx context.Context, other *Node) error {
	return n.ask(ctx, http.MethodPost, "/cluster/join", map[string]any{"name": other.Name, "address": other.Address, "replica": other.Replica}, nil)
}

// Remove takes other out of the cluster.
func (n *Node) Remove(ctx context.Context, other *Node) error {
	return n.ask(ctx, http.MethodPost, "/cluster/remove", map[string]any{"name": other.Name}, nil)
}

// Transfer lets another node lead, to if that is not nil.
func (n *Node) Transfer(ctx context.Context, to *Node) error {
	name := ""
	if to != nil {
		name = to.Name
	}
	return n.ask(ctx, http.MethodPost, "/cluster/transfer", map[string]any{"to": name}, nil)
}

// Leader is the node that leads in the newest term that anybody knows of, nil if none is known to.
func (f *Fleet) Leader(ctx context.Context) (*Node, uint64) {
	type said struct {
		overview cluster.Overview
		ok       bool
	}
	answers := make(chan said, len(f.nodes))
	for _, n := range f.nodes {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			defer cancel()
			o, err := n.Overview(ctx)
			answers <- said{o, err == nil}
		}()
	}
	var leader *Node
	var term uint64
	for range f.nodes {
		a := <-answers
		if !a.ok || a.overview.Leader == "" || a.overview.Term < term {
			continue
		}
		for _, n := range f.nodes {
			if n.Name == a.overview.Leader {
				leader, term = n, a.overview.Term
			}
		}
	}
	return leader, term
}

// Ready reports whether the node says that it is.
func (n *Node) Ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+wire.PathReady, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// Well waits until all nodes are ready, members, and have applied all that is committed. The error says
// what is missing when ctx is done.
func (f *Fleet) Well(ctx context.Context) error {
	for {
		missing := f.missing(ctx)
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the nodes are not well: %s", missing)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (f *Fleet) missing(ctx context.Context) string {
	leader, _ := f.Leader(ctx)
	if leader == nil {
		return "nobody leads"
	}
	ask, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	o, err := leader.Overview(ask)
	if err != nil {
		return err.Error()
	}
	status := map[string]cluster.NodeStatus{}
	for _, s := range o.Nodes {
		status[s.Name] = s
	}
	for _, n := range f.nodes {
		s, member := status[n.Name]
		switch {
		case !member:
			return n.Name + " is not a member"
		case s.Voter == n.Replica:
			return fmt.Sprintf("%s votes: %v", n.Name, s.Voter)
		case !s.Healthy:
			return n.Name + " is not healthy"
		case !n.Ready(ctx):
			return n.Name + " is not ready"
		}
	}
	return ""
}
