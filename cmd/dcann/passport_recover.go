package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

func newPassportRecoverCommand(a *app) *cobra.Command {
	var keyFile, undo string
	var rotate []string
	c := &cobra.Command{
		Use:   "recover --key FILE [--undo OPERATION] [--rotation KEY,…] DID",
		Short: "undo what weaker keys did in the last 72 hours",
		Long: `Takes an operation off, and all that came after it, and puts the record back that was in
force before. --key must stand, in the rotation of that record, before the keys that signed
what is taken off. Without --undo, the only operation that can be undone is; if there are
several, they are listed and you choose the first that is wrong.

If a key was stolen, name new ones with --rotation: else the thief's key is back too.`,
		Example: `  dcann passport recover --key safe.pem --rotation safe.pem,new.pem did:dcann:xz:b…
  dcann passport recover --key safe.pem --undo b… did:dcann:xz:b…`,
		Args: exactly("DID"),
	}
	f := c.Flags()
	f.StringVar(&keyFile, "key", "", keyHelp+", stronger than those that are undone")
	f.StringVar(&undo, "undo", "", "the first operation to take off (see dcann passport history)")
	f.StringSliceVar(&rotate, "rotation", nil, "new "+rotationHelp+" (default: as before)")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		key, err := readKey(keyFile)
		if err != nil {
			return err
		}
		keys, _, err := rotation(rotate)
		if err != nil {
			return err
		}
		reg, err := a.client()
		if err != nil {
			return err
		}
		defer reg.Close()
		ch, err := fetchChain(c.Context(), reg, id)
		if err != nil {
			return err
		}
		content, err := ch.recovery(key.Public().Multikey(), registry.OpID(undo), registry.MillisOf(a.now()))
		if err != nil {
			return err
		}
		content.Iat = a.clock()
		a.explainRecovery(ch, content, keys)
		if keys != nil {
			content.Record.Rotation = keys
		}
		op, err := content.Sign(key)
		if err != nil {
			return err
		}
		result, err := a.submit(c.Context(), reg, op)
		if err != nil {
			return err
		}
		return a.changed(result)
	}
	required(c, "key")
	return c
}

// recovery is the operation that takes off undo, or the only one that key can take off.
func (ch *chain) recovery(key jws.Multikey, undo registry.OpID, now registry.Millis) (registry.Content, error) {
	stack := ch.lineage.Stack
	var able []int
	for at, s := range stack {
		if now <= s.Time.Add(ch.policy.Window()) && ch.outranks(key, stack[at:]) {
			able = append(able, at)
		}
	}
	at := slices.IndexFunc(stack, func(s registry.Standing) bool { return s.Op == undo })
	switch {
	case undo != "" && at < 0:
		return registry.Content{}, usagef("--undo %s: expected an operation that stands and is not older than %v", undo, ch.policy.Window())
	case undo == "" && len(able) == 0:
		return registry.Content{}, &registry.Error{Kind: registry.Forbidden, Detail: fmt.Sprintf("there is nothing in the last %v that %s can undo: it must stand in the rotation before the key that signed the change", ch.policy.Window(), key)}
	case undo == "" && len(able) > 1:
		return registry.Content{}, usageError{fmt.Errorf("several operations can be undone; choose the first that is wrong with --undo, it takes off those after it too:\n%s", ch.list(able))}
	case undo == "":
		at = able[0]
	}
	content := ch.content(registry.Recover, 0)
	content.Undo = stack[at].Op
	content.Record = cloneRecord(ch.records[stack[at].Base])
	return content, nil
}

// outranks is the rule of DESIGN 6, rule 3, asked before anything is signed.
func (ch *chain) outranks(key jws.Multikey, undone []registry.Standing) bool {
	base := ch.records[undone[0].Base]
	rank := base.Rank(key)
	return rank < len(base.Rotation) && !slices.ContainsFunc(undone, func(s registry.Standing) bool { return base.Rank(s.Signer) <= rank })
}

func (ch *chain) list(able []int) string {
	var lines []string
	for _, at := range able {
		s := ch.lineage.Stack[at]
		lines = append(lines, fmt.Sprintf("  %s  %s  %-10s by %s", s.Op, s.Time.Time().Format(time.RFC3339), s.Act, s.Signer))
	}
	return strings.Join(lines, "\n")
}

// explainRecovery says what is taken off, and warns when the keys that did it stay.
func (a *app) explainRecovery(ch *chain, content registry.Content, rotation []jws.Multikey) {
	if rotation == nil {
		rotation = content.Record.Rotation
	}
	at := slices.IndexFunc(ch.lineage.Stack, func(s registry.Standing) bool { return s.Op == content.Undo })
	for _, s := range ch.lineage.Stack[at:] {
		a.say("taking off the %s of %s, signed by %s", s.Act, s.Time.Time().Format(time.RFC3339), s.Signer)
		if slices.Contains(rotation, s.Signer) {
			a.say("  note: that key stays in the rotation; if it was stolen, recover with --rotation and without it")
		}
	}
}
