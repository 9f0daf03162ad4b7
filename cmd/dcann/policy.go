package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

func newPolicyCommand(a *app) *cobra.Command {
	return group("policy", "write down and sign what all nodes of a registry agree on",
		`A policy names a registry's country, the keys that accredit organisations, and the
numbers that every node must apply alike. It is signed by an accreditation key and given
to the first start of the first node: dcann serve --policy FILE.`,
		newPolicyNewCommand(a), newPolicyNextCommand(a), newPolicySubmitCommand(a), newPolicyShowCommand(a))
}

// policyFlags are the parts of a policy that flags set; apply changes what was given.
type policyFlags struct {
	accreditation, service []string
	window, skew           time.Duration
	perHour, perDay, ends  int
}

func (o *policyFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&o.accreditation, "accreditation", nil, "accreditation keys beside --key: key files or Multikeys")
	f.StringSliceVar(&o.service, "service", nil, "service keys: key files or Multikeys")
	f.DurationVar(&o.window, "recovery-window", registry.DefaultRecoveryWindow, "how long stronger keys can undo; less than 72h for test countries only")
	f.DurationVar(&o.skew, "clock-skew", registry.DefaultClockSkew, "how far the clock of who signs may be off")
	f.IntVar(&o.perHour, "per-hour", registry.DefaultPerHour, "operations of one record in an hour")
	f.IntVar(&o.perDay, "per-day", registry.DefaultPerDay, "operations of one record in a day")
	f.IntVar(&o.ends, "deactivations-per-day", registry.DefaultDeactivations, "deactivations of one record in a day")
}

// names are those of the flags.
func (o *policyFlags) names() (list []string) {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(policyFlags).add(f)
	f.VisitAll(func(f *pflag.Flag) { list = append(list, f.Name) })
	return list
}

func (o *policyFlags) apply(p *registry.Policy, f *pflag.FlagSet) error {
	if f.Changed("service") {
		keys, _, err := rotation(o.service)
		if err != nil {
			return err
		}
		p.Service = keys
	}
	for name, d := range map[string]time.Duration{"recovery-window": o.window, "clock-skew": o.skew} {
		if d%time.Second != 0 {
			return usagef("--%s is %v: expected whole seconds", name, d)
		}
	}
	if f.Changed("recovery-window") {
		p.RecoveryWindow = int64(o.window / time.Second)
	}
	if f.Changed("clock-skew") {
		p.MaxClockSkew = int64(o.skew / time.Second)
	}
	if f.Changed("per-hour") {
		p.PerHour = o.perHour
	}
	if f.Changed("per-day") {
		p.PerDay = o.perDay
	}
	if f.Changed("deactivations-per-day") {
		p.Deactivations = o.ends
	}
	return nil
}

// signPolicy signs p with key and writes it to a new file.
func (a *app) signPolicy(p registry.Policy, key jws.PrivateKey, out string) error {
	p.Iat = a.clock()
	signed, err := p.Sign(key)
	if err != nil {
		return usageError{err}
	}
	if err := writeNew(out, []byte(signed.Compact()+"\n"), 0o644); err != nil {
		return err
	}
	a.say("wrote policy %d of country %s to %s, signed by %s", p.Version, p.Country, out, key.Public())
	return nil
}

func newPolicyNewCommand(a *app) *cobra.Command {
	var country, keyFile, out string
	var parts policyFlags
	c := &cobra.Command{
		Use:   "new --country CC --key FILE --out FILE",
		Short: "make and sign the first policy of a registry",
		Long: `Makes the first policy of a country's registry, signed by its accreditation key. Keep that
key away from the nodes: who holds it says which organisations can be trusted.`,
		Example: `  dcann key new --out accreditation.pem
  dcann policy new --country fr --key accreditation.pem --out fr.jwt
  dcann serve --data /var/lib/dcann --policy fr.jwt`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringVar(&country, "country", "", "two letters, lower case; for tests a user-assigned one, such as xz")
	f.StringVar(&keyFile, "key", "", "key file of the accreditation key to sign with")
	f.StringVar(&out, "out", "", "file to write the signed policy to")
	parts.add(f)
	c.RunE = func(*cobra.Command, []string) error {
		key, err := readKey(keyFile)
		if err != nil {
			return err
		}
		more, _, err := rotation(parts.accreditation)
		if err != nil {
			return err
		}
		p := registry.DefaultPolicy(registry.Country(country))
		p.Accreditation = append([]jws.Multikey{key.Public().Multikey()}, more...)
		if err := parts.apply(&p, f); err != nil {
			return err
		}
		return a.signPolicy(p, key, out)
	}
	required(c, "country", "key", "out")
	return c
}

func newPolicyNextCommand(a *app) *cobra.Command {
	var keyFile, out string
	var parts policyFlags
	c := &cobra.Command{
		Use:   "next --key FILE --out FILE",
		Short: "make and sign the policy that follows the one in force",
		Long: `Fetches the policy in force from the registry, changes what is named, and signs the next
with an accreditation key of the one in force. With --accreditation, those keys take the
place of all accreditation keys: name those that stay, too.`,
		Example: `  dcann policy next --key accreditation.pem --accreditation accreditation.pem,new.pem --out fr-2.jwt
  dcann policy submit --admin unix:/var/lib/dcann/admin.sock fr-2.jwt`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringVar(&keyFile, "key", "", "key file of an accreditation key in force to sign with")
	f.StringVar(&out, "out", "", "file to write the signed policy to")
	parts.add(f)
	f.Lookup("accreditation").Usage = "all accreditation keys from now on: key files or Multikeys"
	c.RunE = func(c *cobra.Command, _ []string) error {
		key, err := readKey(keyFile)
		if err != nil {
			return err
		}
		who, err := a.standing(c.Context())
		if err != nil {
			return err
		}
		p := who.Policy
		if mine := key.Public().Multikey(); !slices.Contains(p.Accreditation, mine) {
			return usagef("--key %s is the key %s: expected one of the accreditation keys in force, %v", keyFile, mine, p.Accreditation)
		}
		p.Version++
		if f.Changed("accreditation") {
			if p.Accreditation, _, err = rotation(parts.accreditation); err != nil {
				return err
			}
		}
		if err := parts.apply(&p, f); err != nil {
			return err
		}
		return a.signPolicy(p, key, out)
	}
	required(c, "key", "out")
	return c
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s exists: expected a new file's name", path)
	}
	if err != nil {
		return usageError{err}
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
