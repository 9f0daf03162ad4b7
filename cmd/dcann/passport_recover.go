package main

import (
	"context"
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
		RunE: func(c *cobra.Command, args []string) error {
			return a.takeBack(c.Context(), args[0], keyFile, registry.OpID(undo), rotate)
		},
	}
	f := c.Flags()
	f.StringVar(&keyFile, "key", "", keyHelp+", stronger than those that are undone")
	f.StringVar(&undo, "undo", "", "the first operation to take off (see dcann passport history)")
	f.StringSliceVar(&rotate, "rotation", nil, "new "+rotationHelp+" (default: as before)")
	required(c, "key")
	return c
}

func (a *app) takeBack(ctx context.Context, arg, keyFile string, undo registry.OpID, rotate []string) error {
	keys, _, err := rotation(rotate)
	if err != nil {
		return err
	}
	s, err := a.lookToSign(ctx, arg, keyFile)
	if err != nil {
		return err
	}
	defer s.Close()
	content, err := s.chain.recovery(s.key, undo, registry.MillisOf(a.now()))
	if err != nil {
		return err
	}
	a.explainRecovery(s.chain, content, keys)
	if keys != nil {
		content.Record.Rotation = keys
	}
	op, err := content.Sign(s.key)
	if err != nil {
		return configError(err)
	}
	result, err := a.submit(ctx, s.Client, op)
	if err != nil {
		return err
	}
	return a.changed(result)
}

// recovery is the operation that takes off undo, or the only one that key can take off.
func (ch *chain) recovery(key jws.PrivateKey, undo registry.OpID, now registry.Millis) (registry.Content, error) {
	stack := ch.lineage.Stack
	if undo != "" {
		at := slices.IndexFunc(stack, func(s registry.Standing) bool { return s.Op == undo })
		if at < 0 {
			return registry.Content{}, usagef("--undo %s: expected an operation that stands and is not older than %v", undo, ch.policy.Window())
		}
		return ch.undoing(stack[at], now), nil
	}
	var able []registry.Standing
	for _, s := range stack {
		op, err := ch.undoing(s, now).Sign(key)
		if err != nil {
			return registry.Content{}, err
		}
		// What a registry would say of it: the rules are not told again here.
		if _, err := ch.check(op, now); err == nil {
			able = append(able, s)
		}
	}
	switch len(able) {
	case 0:
		return registry.Content{}, &registry.Error{Kind: registry.Forbidden, Detail: fmt.Sprintf("there is nothing in the last %v that %s can undo: it must stand in the rotation before the key that signed the change", ch.policy.Window(), key.Public())}
	case 1:
		return ch.undoing(able[0], now), nil
	}
	return registry.Content{}, usageError{fmt.Errorf("several operations can be undone; choose the first that is wrong with --undo, it takes off those after it too:\n%s", list(able))}
}

// undoing is the operation that takes off s and all above it.
func (ch *chain) undoing(s registry.Standing, now registry.Millis) registry.Content {
	content := ch.content(registry.Recover, now.Unix())
	content.Undo = s.Op
	content.Record = cloneRecord(ch.records[s.Base])
	return content
}

func list(able []registry.Standing) string {
	var lines []string
	for _, s := range able {
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
