package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node"
)

// The demonstration listens where a registry does, or, if that is taken, anywhere on this machine.
const demoHTTP = node.DefaultHTTP

func newDemoCommand(a *app) *cobra.Command {
	var once bool
	var data, http string
	c := &cobra.Command{
		Use:   "demo",
		Short: "run a registry on this machine and tell the whole story",
		Long: `Starts a real registry of three nodes on this machine and plays the story of a data passport
on it, each step with the curl command for it and what it answers: a vault provider is
accredited, a person makes a passport, a company is led to the vault, the node that leads is
killed while the vault moves, a key is stolen and the passport taken back, the killed node
comes back. Every step verifies what it says.

Then the registry keeps running, for you to try on, until you interrupt it. Nothing leaves
this machine; without --data nothing stays.`,
		Example: `  dcann demo
  dcann demo --once && echo it works`,
		Args: exactly(),
	}
	c.Flags().BoolVar(&once, "once", false, "end after the story; the exit code says whether it went well")
	c.Flags().StringVar(&data, "data", "", "directory to keep the registry and the keys in (default: a temporary one)")
	c.Flags().StringVar(&http, "http", "", "address of the first node (default "+demoHTTP+", or a free port)")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		temporary := data == ""
		if temporary {
			if data, err = os.MkdirTemp("", "dcann-demo-"); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
		}
		if data, err = filepath.Abs(data); err != nil {
			return usageError{err}
		}
		return a.demo(c.Context(), data, http, once, temporary)
	}
	return c
}

func (a *app) demo(ctx context.Context, data, http string, once, temporary bool) error {
	if http == "" {
		http = freeOr(demoHTTP)
	}
	cluster, err := a.openDemoCluster(data, http)
	if err != nil {
		return err
	}
	defer cluster.stop()
	if err := cluster.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted before it began
		}
		return err
	}
	if err := a.tellStory(ctx, cluster, data, once, temporary); err != nil || once {
		return err
	}
	return cluster.watch(ctx)
}

// freeOr is address, or one with any free port when another program has it.
func freeOr(address string) string {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	if l.Close() != nil {
		return "127.0.0.1:0"
	}
	return address
}

func (a *app) tellStory(ctx context.Context, cluster *demoCluster, data string, once, temporary bool) error {
	s, err := newStory(a.stdout, cluster, data, a.now)
	if err != nil {
		return err
	}
	until := ""
	if temporary {
		until = ",\nuntil it ends"
	}
	fmt.Fprintf(a.stdout, "A registry of country %s runs on three nodes, each a process of its own:\n", s.country)
	for _, n := range cluster.nodes {
		fmt.Fprintf(a.stdout, "  %s at %s\n", n.name, n.url)
	}
	fmt.Fprintf(a.stdout, "The keys and signed operations of this story are in %s%s.\nAny node can be asked; min_index says which write it must have seen before it answers.\n", s.dir, until)
	if err := s.play(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted: the reader has seen enough
		}
		return fmt.Errorf("step %d, %s: %w", s.number, s.title, err)
	}
	if once {
		fmt.Fprint(a.stdout, "\nThat is the whole story, and every step was verified. The registry has ended")
		if temporary {
			fmt.Fprint(a.stdout, ", and its\nkeys are gone: dcann demo keeps it running, dcann demo --data DIR keeps the keys")
		}
		fmt.Fprint(a.stdout, ".\n")
		return nil
	}
	s.farewell()
	return nil
}

// farewell says what can be tried next.
func (s *story) farewell() {
	first := s.cluster.nodes[0]
	fmt.Fprintf(s.out, `
That is the whole story, and every step was verified. The registry keeps running, any of
its nodes can be asked. Try, in another terminal:

  export DCANN_REGISTRY=%s
  dcann resolve %s
  dcann passport history %s
  dcann watch
  dcann key new --out me.pem && dcann passport create --rotation me.pem
  dcann cluster status --config %s
  dcann cluster transfer --config %s

Interrupt with Ctrl-C to end it.
`, first.url, s.provider, s.passport, first.config, first.config)
}
