package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node"
)

// The demonstration listens where a registry does, or, if that is taken, anywhere on this machine.
const (
	demoHTTP    = node.DefaultHTTP
	demoMinFree = 32 << 20
)

func newDemoCommand(a *app) *cobra.Command {
	var once bool
	config := node.Config{Dev: true, Country: node.DefaultDevCountry, MinFree: demoMinFree}
	c := &cobra.Command{
		Use:   "demo",
		Short: "run a registry on this machine and tell the whole story",
		Long: `Starts a real registry on this machine and plays the story of a data passport on it, each
step with the curl command for it and what it answers: a vault provider is accredited, a
person makes a passport, a company is led to the vault, the vault moves, a key is stolen
and the passport taken back. Every step verifies what it says.

Then the registry keeps running, for you to try on, until you interrupt it. Nothing leaves
this machine; without --data nothing stays.`,
		Example: `  dcann demo
  dcann demo --once && echo it works`,
		Args: exactly(),
	}
	c.Flags().BoolVar(&once, "once", false, "end after the story; the exit code says whether it went well")
	c.Flags().StringVar(&config.Data, "data", "", "directory to keep the registry and the keys in (default: a temporary one)")
	c.Flags().StringVar(&config.HTTP, "http", "", "address to listen on (default "+demoHTTP+", or a free port)")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		temporary := config.Data == ""
		if config.Data == "" {
			if config.Data, err = os.MkdirTemp("", "dcann-demo-"); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(config.Data)) }()
		}
		return a.demo(c.Context(), config, once, temporary)
	}
	return c
}

func (a *app) demo(ctx context.Context, config node.Config, once, temporary bool) (err error) {
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := openDemo(ctx, config, log)
	if err != nil {
		return configError(err)
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	select {
	case <-n.Ready():
	case err := <-ended:
		return configError(err)
	}
	err = a.tellStory(ctx, n, config.Data, once, temporary)
	if err == nil && !once {
		select {
		case <-ctx.Done():
		case err := <-ended:
			return err
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

// openDemo opens the node on the usual port, or on a free one when that is taken.
func openDemo(ctx context.Context, config node.Config, log *slog.Logger) (*node.Node, error) {
	if config.HTTP != "" {
		return node.Open(ctx, config, buildVersion(), log)
	}
	config.HTTP = demoHTTP
	n, err := node.Open(ctx, config, buildVersion(), log)
	if errors.Is(err, node.ErrAddressInUse) {
		config.HTTP = "127.0.0.1:0"
		return node.Open(ctx, config, buildVersion(), log)
	}
	return n, err
}

func (a *app) tellStory(ctx context.Context, n *node.Node, data string, once, temporary bool) error {
	s, err := newStory(a.stdout, n.URL(), data, a.now)
	if err != nil {
		return err
	}
	until := ""
	if temporary {
		until = ",\nuntil it ends"
	}
	fmt.Fprintf(a.stdout, "A registry of country %s runs at %s.\nThe keys and signed operations of this story are in %s%s.\n", n.Country(), n.URL(), s.dir, until)
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
	fmt.Fprintf(s.out, `
That is the whole story, and every step was verified. The registry keeps running at
%s. Try, in another terminal:

  export DCANN_REGISTRY=%s
  dcann resolve %s
  dcann passport history %s
  dcann watch
  dcann key new --out me.pem && dcann passport create --rotation me.pem

Interrupt with Ctrl-C to end it.
`, s.base, s.base, s.provider, s.passport)
}
