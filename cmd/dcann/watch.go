package main

import (
	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/wire"
)

func newWatchCommand(a *app) *cobra.Command {
	var after uint64
	var until bool
	c := &cobra.Command{
		Use:   "watch [DID…]",
		Short: "follow what changes in a registry",
		Long: `Prints every change as it happens, in order, and takes up the stream again when it
breaks. Passports appear by a key that only who knows the identifier can compute: with
identifiers, only their changes are shown, by name.

To go on later, give --after the last position that was printed.`,
		Example: `  dcann watch
  dcann watch --after 1200 -o json
  dcann watch did:dcann:xz:b…`,
		Args: cobra.ArbitraryArgs,
	}
	c.Flags().Uint64Var(&after, "after", 0, "position after which to begin (default: the beginning of the journal)")
	c.Flags().BoolVar(&until, "until-now", false, "stop at the end of the journal instead of waiting for more")
	c.RunE = func(c *cobra.Command, args []string) error {
		known := map[wire.Subject]registry.ID{}
		for _, arg := range args {
			id, err := parseID(arg)
			if err != nil {
				return err
			}
			known[wire.Subject(id.Subject())] = id
		}
		reg, err := a.client()
		if err != nil {
			return err
		}
		defer reg.Close()
		follow := client.Follow{Live: !until, Disconnected: func(err error) { a.say("connection lost, trying again: %v", err) }}
		if c.Flags().Changed("after") {
			follow.After = &after
		}
		err = reg.Events(c.Context(), follow, func(e wire.Event) error {
			id, wanted := known[e.Subject]
			if len(known) > 0 && !wanted {
				return nil
			}
			if wanted {
				e.ID = id
			}
			return a.event(e)
		})
		if c.Context().Err() != nil {
			return nil // interrupted, which is how one stops to watch
		}
		return err
	}
	return c
}

// event prints one change as one line.
func (a *app) event(e wire.Event) error {
	if a.output == "json" {
		line, err := wire.Encode(e)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(append(line, '\n'))
		return err
	}
	who := "subject " + e.Subject.String()
	if e.ID != "" {
		who = string(e.ID)
	}
	return printLine(a.stdout, "%6d  %s  %-10s  %s", e.Position, e.Time, e.Type, who)
}
