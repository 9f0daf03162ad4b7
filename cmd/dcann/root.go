package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const defaultRegistry = "http://127.0.0.1:7400"

// newRootCommand builds the tree of commands for one run. To add a family of commands: a file with
// newXCommand(*app) *cobra.Command, and a line in the list below. A command returns errors, writes what
// was asked for to a.stdout by a.show, and everything else to a.stderr by a.say.
func newRootCommand(a *app) *cobra.Command {
	root := group("dcann", "data passports: a registry that people own their entries in",
		`dcann runs a registry of data passports, and is the tool of those who use one.

A data passport is an identifier that a person owns. It says in which vaults the
person's data lives and which keys sign the person's permissions.

Start with "dcann demo": it runs a registry on this machine and tells the whole story.`)
	root.Example = `  dcann demo                                   see everything happen, with the curl commands
  dcann serve --dev --country xz --data ./d    run a registry to try things on
  dcann key new --out alice.pem                make a key
  dcann passport create --rotation alice.pem   own a passport
  dcann resolve did:dcann:xz:b…                look one up`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetIn(a.stdin)
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.registry, "registry", defaultRegistry, "base URL of the registry to talk to (DCANN_REGISTRY)")
	flags.StringVarP(&a.output, "output", "o", "text", "text for people, json for programs (DCANN_OUTPUT)")
	flags.DurationVar(&a.timeout, "timeout", defaultTimeout, "how long one answer may take (DCANN_TIMEOUT)")
	flags.DurationVar(&a.retry, "retry", 0, "how long to try again when the registry cannot answer now (DCANN_RETRY)")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		for _, name := range []string{"registry", "output", "timeout", "retry"} {
			if err := a.fromEnv(c.Flags().Lookup(name)); err != nil {
				return err
			}
		}
		if a.output != "text" && a.output != "json" {
			return usagef("--output %q: expected text or json", a.output)
		}
		if a.timeout < 0 || a.retry < 0 {
			return usagef("--timeout is %v, --retry is %v: expected neither to be negative", a.timeout, a.retry)
		}
		return nil
	}
	for _, newCommand := range []func(*app) *cobra.Command{
		newDemoCommand,
		newServeCommand,
		newClusterCommand,
		newBackupCommand,
		newRestoreCommand,
		newKeyCommand,
		newPassportCommand,
		newStrandCommand,
		newOrgCommand,
		newResolveCommand,
		newWatchCommand,
		newPolicyCommand,
		newSystemdUnitCommand,
		newVersionCommand,
		newBenchCommand,
	} {
		root.AddCommand(newCommand(a))
	}
	choices(root, "output", "text", "json")
	root.SetHelpCommand(newHelpCommand(root))
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = cobra.ArbitraryArgs, onlyHolds
		}
	}
	return root
}

// flagError says what was wrong with a flag, and where its help is.
func flagError(c *cobra.Command, err error) error {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := wrong.GetFlag()
		return usagef("--%s %q: %v: see %s --help", f.Name, wrong.GetValue(), expected(f, wrong.Unwrap()), c.CommandPath())
	}
	return usagef("%v: see %s --help", err, c.CommandPath())
}

// newHelpCommand is cobra's, for which a command that there is not is no mistake.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "explain a command",
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no command %q: see dcann --help", strings.Join(args, " "))
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}
