package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

func newResolveCommand(a *app) *cobra.Command {
	var document bool
	c := &cobra.Command{
		Use:   "resolve DID…",
		Short: "find out where passports lead, one or a million",
		Long: `Resolves passports and organisations. Several, or those on standard input (-), one a line,
are asked in batches, and the answers come as they are found, in the order asked; with
-o json one answer a line.

The exit code is 0 when every one was found.`,
		Example: `  dcann resolve did:dcann:xz:b…
  dcann resolve --document did:dcann:xz:b…     the W3C DID Resolution result
  dcann resolve - < identifiers.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("dcann resolve expects identifiers, or - to read them from standard input")
			case document && (len(args) != 1 || args[0] == "-"):
				return usagef("--document resolves one identifier")
			case document && !strings.HasPrefix(args[0], "did:"):
				return usagef("--document %q: expected an identifier, did:…", args[0])
			case document:
				return a.resolveDocument(c.Context(), args[0])
			case len(args) == 1 && args[0] != "-":
				return a.showRecord(c.Context(), args[0])
			}
			return a.resolveMany(c.Context(), args)
		},
	}
	c.Flags().BoolVar(&document, "document", false, "the DID document with its metadata")
	return c
}

func (a *app) resolveDocument(ctx context.Context, did string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	result, err := c.ResolveDID(ctx, did)
	if result.Document == nil {
		return err
	}
	if showErr := writeJSON(a.stdout, result); err == nil {
		err = showErr
	}
	return err
}

// resolveMany asks in batches, so that a list without end can be piped through.
func (a *app) resolveMany(ctx context.Context, args []string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	out := bufio.NewWriter(a.stdout)
	failed, total := 0, 0
	each := func(l wire.ResolveLine) error {
		total++
		if l.Record == nil {
			failed++
		}
		return a.resolved(out, l)
	}
	var batch []registry.ID
	flush := func() error {
		if err := c.Resolve(ctx, batch, each); err != nil {
			return err
		}
		batch = batch[:0]
		return out.Flush()
	}
	for arg, err := range a.identifiers(args) {
		if err != nil {
			return err
		}
		id, err := parseID(arg)
		if err != nil {
			return errors.Join(err, flush())
		}
		if batch = append(batch, id); len(batch) == wire.MaxResolve {
			if err := flush(); err != nil {
				return err
			}
			a.say("%d resolved", total)
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if failed > 0 {
		return &registry.Error{Kind: registry.NotFound, Detail: fmt.Sprintf("%d of %d identifiers were not resolved", failed, total)}
	}
	return nil
}

// identifiers yields the arguments, and the lines of standard input in the place of "-".
func (a *app) identifiers(args []string) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		for _, arg := range args {
			if arg != "-" {
				if !yield(arg, nil) {
					return
				}
				continue
			}
			lines := bufio.NewScanner(a.stdin)
			for lines.Scan() {
				if text := strings.TrimSpace(lines.Text()); text != "" && !yield(text, nil) {
					return
				}
			}
			if err := lines.Err(); err != nil && !yield("", fmt.Errorf("standard input: %w", err)) {
				return
			}
		}
	}
}

func (a *app) resolved(w io.Writer, l wire.ResolveLine) error {
	if a.output == "json" {
		text, err := wire.Encode(l)
		if err != nil {
			return err
		}
		_, err = w.Write(append(text, '\n'))
		return err
	}
	if l.Record == nil {
		detail := "no reason given"
		if l.Problem != nil {
			refusal := l.Problem.Err()
			detail = fmt.Sprintf("%s: %s", refusal.Kind, refusal.Detail)
		}
		return printLine(w, "%s  %s", l.ID, detail)
	}
	if err := printLine(w, "%s  %s %s", l.ID, l.Record.Status, l.Record.Kind); err != nil {
		return err
	}
	for _, s := range l.Record.Strands {
		if err := printLine(w, "  %-12s %s", s.ID, leadsTo(s)); err != nil {
			return err
		}
	}
	return nil
}
