package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// readStatement reads a file that holds a signed statement.
func readStatement(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, registry.MaxStatement+2))
	if err != nil {
		return nil, usageError{err}
	}
	return bytes.TrimSpace(text), nil
}

func newPolicyShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "print what a signed policy says",
		Long: `Prints a policy, and verifies its signature by the key that it names, which is printed too:
as a first policy must be, by one of its own accreditation keys; later ones are signed by one
of the policy before, which the file does not tell. Whether it may follow the one in force is
the registry's to say.`,
		Example: `  dcann policy show fr.jwt`,
		Args:    exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := readStatement(args[0])
			if err != nil {
				return err
			}
			p, signer, err := parsePolicy(text)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if !slices.Contains(p.Accreditation, signer) {
				a.say("WARNING: the signer %s is none of the accreditation keys that the policy lists: expected one of policy %d", signer, p.Version-1)
			}
			return a.show(shownPolicy{p, signer}, func(w io.Writer) { writePolicy(w, p, signer) })
		},
	}
}

// shownPolicy is a policy and who signed it, in one object.
type shownPolicy struct {
	*registry.Policy
	Signer jws.Multikey `json:"signer"`
}

// parsePolicy verifies a policy of any version by the key that its header names. Whether that one was entitled to sign
// is known of a first policy only.
func parsePolicy(text []byte) (*registry.Policy, jws.Multikey, error) {
	msg, err := jws.Parse(text, registry.MaxStatement)
	if err != nil {
		return nil, "", err
	}
	signer := jws.Multikey(msg.Header().Kid)
	var said registry.Policy
	if err := jws.DecodeJSON(msg.Payload(), &said); err != nil {
		return nil, "", err
	}
	var before *registry.Policy
	if said.Version > 1 { // judged as if the one before it had named the key that signed it
		before = &registry.Policy{Version: said.Version - 1, Country: said.Country, Accreditation: []jws.Multikey{signer}}
	}
	p, err := registry.ParsePolicy(text, before)
	return p, signer, err
}

func writePolicy(w io.Writer, p *registry.Policy, signer jws.Multikey) {
	line := func(name, format string, args ...any) {
		_ = printLine(w, "%-16s %s", name, fmt.Sprintf(format, args...))
	}
	line("country", "%s", p.Country)
	line("version", "%d", p.Version)
	line("recovery window", "%v", p.Window())
	line("clock skew", "%v", time.Duration(p.MaxClockSkew)*time.Second)
	line("quotas", "%d an hour, %d a day, %d deactivations a day", p.PerHour, p.PerDay, p.Deactivations)
	for i, k := range p.Accreditation {
		line(first(i, "accreditation"), "%s", k)
	}
	for i, k := range p.Service {
		line(first(i, "service"), "%s", k)
	}
	line("signed by", "%s", signer)
}

func newPolicySubmitCommand(a *app) *cobra.Command {
	var admin string
	c := &cobra.Command{
		Use:   "submit --admin ADDRESS FILE",
		Short: "give a registry its next policy, by a node's operator address",
		Long: `Sends a signed policy to a node's operator address (dcann serve --admin). From then on all
nodes of the registry go by it. To send the one in force again is no mistake; one that was in
force before it is refused.`,
		Example: `  dcann policy submit --admin unix:/var/lib/dcann/admin.sock fr-2.jwt`,
		Args:    exactly("FILE"),
	}
	c.Flags().StringVar(&admin, "admin", "", "unix:PATH or host:port")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOperator(admin); err != nil {
			return err
		}
		text, err := readStatement(args[0])
		if err != nil {
			return err
		}
		return a.submitPolicy(c.Context(), admin, text)
	}
	required(c, "admin")
	return c
}

// submitPolicy gives a signed policy to the node at an operator's address.
func (a *app) submitPolicy(ctx context.Context, address string, text []byte) error {
	if err := a.operator(address, a.timeout).post(ctx, "/policy", text); err != nil {
		return err
	}
	a.say("the policy is in force")
	return nil
}
