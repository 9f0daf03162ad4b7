package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
)

func newPolicyCommand(a *app) *cobra.Command {
	return group("policy", "write down and sign what all nodes of a registry agree on",
		`A policy names a registry's country, the keys that accredit organisations, and the
numbers that every node must apply alike. It is signed by an accreditation key and given
to the first start of the first node: dcann serve --policy FILE.`,
		newPolicyNewCommand(a), newPolicyShowCommand(a))
}

func newPolicyNewCommand(a *app) *cobra.Command {
	var country, keyFile, out string
	var accreditation, service []string
	var window, skew time.Duration
	p := registry.DefaultPolicy("")
	c := &cobra.Command{
		Use:   "new --country CC --key FILE --out FILE",
		Short: "make and sign the first policy of a registry",
		Long: `Makes the first policy of a country's registry, signed by its accreditation key. Keep that
key away from the nodes: who holds it says which organisations can be trusted.`,
		Example: `  dcann key new --out accreditation.pem
  dcann policy new --country fr --key accreditation.pem --out policy.jwt
  dcann serve --data /var/lib/dcann --policy policy.jwt`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringVar(&country, "country", "", "two letters, lower case; for tests a user-assigned one, such as xz")
	f.StringVar(&keyFile, "key", "", "key file of the accreditation key to sign with")
	f.StringVar(&out, "out", "", "file to write the signed policy to")
	f.StringSliceVar(&accreditation, "accreditation", nil, "further accreditation keys: key files or Multikeys")
	f.StringSliceVar(&service, "service", nil, "service keys: key files or Multikeys")
	f.DurationVar(&window, "recovery-window", registry.DefaultRecoveryWindow, "how long stronger keys can undo; less than 72h for test countries only")
	f.DurationVar(&skew, "clock-skew", registry.DefaultClockSkew, "how far the clock of who signs may be off")
	f.IntVar(&p.PerHour, "per-hour", p.PerHour, "operations of one record in an hour")
	f.IntVar(&p.PerDay, "per-day", p.PerDay, "operations of one record in a day")
	f.IntVar(&p.Deactivations, "deactivations-per-day", p.Deactivations, "deactivations of one record in a day")
	c.RunE = func(*cobra.Command, []string) error {
		key, err := readKey(keyFile)
		if err != nil {
			return err
		}
		more, _, err := rotation(accreditation)
		if err != nil {
			return err
		}
		services, _, err := rotation(service)
		if err != nil {
			return err
		}
		p.Country, p.Iat = registry.Country(country), a.clock()
		p.Accreditation, p.Service = append(p.Accreditation, key.Public().Multikey()), services
		p.Accreditation = append(p.Accreditation, more...)
		p.RecoveryWindow, p.MaxClockSkew = int64(window/time.Second), int64(skew/time.Second)
		signed, err := p.Sign(key)
		if err != nil {
			return usageError{err}
		}
		if err := writeNew(out, []byte(signed.Compact()+"\n"), 0o644); err != nil {
			return err
		}
		a.say("wrote the policy to %s, signed by %s", out, key.Public())
		return nil
	}
	required(c, "country", "key", "out")
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

func newPolicyShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE",
		Short:   "verify a signed first policy and print what it says",
		Example: `  dcann policy show policy.jwt`,
		Args:    exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			defer f.Close()
			text, err := io.ReadAll(io.LimitReader(f, registry.MaxStatement+2))
			if err != nil {
				return usageError{err}
			}
			p, err := registry.ParsePolicy([]byte(strings.TrimSpace(string(text))), nil)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return a.show(p, func(w io.Writer) {
				fmt.Fprintf(w, "country          %s\nversion          %d\nrecovery window  %v\nclock skew       %v\n", p.Country, p.Version, p.Window(), time.Duration(p.MaxClockSkew)*time.Second)
				fmt.Fprintf(w, "quotas           %d an hour, %d a day, %d deactivations a day\n", p.PerHour, p.PerDay, p.Deactivations)
				for i, k := range p.Accreditation {
					fmt.Fprintf(w, "%-16s %s\n", first(i, "accreditation"), k)
				}
				for i, k := range p.Service {
					fmt.Fprintf(w, "%-16s %s\n", first(i, "service"), k)
				}
			})
		},
	}
}
