package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dcann/dcann/registry"
)

// The exit codes, part of the contract with scripts.
const (
	exitOK          = 0
	exitRefused     = 1 // a rule refuses, or something is broken: the message says which
	exitUsage       = 2 // the command line or the configuration is wrong; nothing was done
	exitUnavailable = 3 // the registry cannot be reached or cannot answer now; trying again is safe
)

// app is what every command gets: its streams, its environment and the flags that all share. One is made
// for each run, so that tests run many at a time.
type app struct {
	stdin    io.Reader
	stdout   io.Writer // what was asked for, and nothing else: a script reads it
	stderr   io.Writer // progress, explanations, errors
	env      map[string]string
	now      func() time.Time
	registry string        // --registry
	timeout  time.Duration // --timeout
	retry    time.Duration // --retry
	output   string        // --output: text or json
}

// run executes one command line and returns its exit code. env is as os.Environ gives it. It is main
// without the process, for tests.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: map[string]string{}, now: time.Now}
	for _, entry := range env {
		if name, value, ok := strings.Cut(entry, "="); ok {
			a.env[name] = value
		}
	}
	root := newRootCommand(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	a.explain(err)
	return exitCode(err)
}

// usageError is a mistake on the command line or in the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, registry.Unavailable):
		return exitUnavailable
	}
	return exitRefused
}

// explain writes err to stderr: the kind of the problem first, because that is what one looks up.
func (a *app) explain(err error) {
	var usage usageError
	var kind registry.Kind
	switch {
	case errors.As(err, &usage):
		kind = "usage"
	case errors.As(err, &kind):
	default:
		kind = "error"
	}
	var typed *registry.Error
	if a.output != "json" {
		text := err.Error()
		if errors.As(err, &typed) { // a registry's own words, which are one line
			text = strings.ReplaceAll(text, typed.Detail, visible(typed.Detail))
		}
		fmt.Fprintf(a.stderr, "dcann: %s: %s\n", visible(string(kind)), visibleLines(text))
		return
	}
	problem := struct {
		Kind   registry.Kind `json:"kind"`
		Detail string        `json:"detail"`
		Head   registry.OpID `json:"head,omitempty"`
	}{Kind: kind, Detail: err.Error()}
	if errors.As(err, &typed) {
		problem.Head = typed.Head
	}
	_ = writeJSON(a.stderr, map[string]any{"error": problem})
}

// say tells the person at the terminal what is going on, on stderr.
func (a *app) say(format string, args ...any) { _ = printLine(a.stderr, format, args...) }

// show writes a result to stdout: v as JSON with -o json, what text writes otherwise.
func (a *app) show(v any, text func(w io.Writer)) error {
	if a.output == "json" {
		return writeJSON(a.stdout, v)
	}
	text(a.stdout)
	return nil
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// variablePrefix begins the names of the variables in the environment that are ours.
const variablePrefix = "DCANN_"

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnv gives a flag that was not given on the command line the value of DCANN_<NAME>, if set.
func (a *app) fromEnv(f *pflag.Flag) error {
	name := variable(f.Name)
	value, ok := a.env[name]
	if f.Changed || !ok {
		return nil
	}
	if err := f.Value.Set(value); err != nil {
		return usagef("%s=%q: %v", name, value, expected(f, err))
	}
	f.Changed = true
	return nil
}

// expected says of a value that f does not take what is taken.
func expected(f *pflag.Flag, err error) error {
	switch f.Value.Type() {
	case "bool":
		return errors.New("expected true or false")
	case "int":
		return errors.New("expected a whole number")
	case "duration":
		return errors.New("expected a duration such as 90s or 1h30m")
	}
	return err
}

// group is a command that only holds others: without one of them it shows its help.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.ArbitraryArgs,
		RunE: onlyHolds,
	}
	c.AddCommand(commands...)
	return c
}

// onlyHolds is what a group runs.
func onlyHolds(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s has no command %q: see %s --help", c.CommandPath(), args[0], c.CommandPath())
	}
	return c.Help()
}

// exactly is cobra.ExactArgs with a message that says what is expected.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			if len(names) == 0 {
				return usagef("%s takes no arguments, got %d", c.CommandPath(), len(args))
			}
			return usagef("%s expects %s, got %d arguments: see %s --help", c.CommandPath(), strings.Join(names, " "), len(args), c.CommandPath())
		}
		return nil
	}
}

// required marks flags without which a command makes no sense; a missing one is a usage error.
func required(c *cobra.Command, names ...string) {
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		for _, name := range names {
			if !c.Flags().Changed(name) {
				return usagef("%s needs --%s: see %s --help", c.CommandPath(), name, c.CommandPath())
			}
		}
		return run(c, args)
	}
}
