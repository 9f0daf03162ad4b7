package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry/jws"
)

func newKeyCommand(a *app) *cobra.Command {
	return group("key", "make keys and look at them",
		`A key is a file: PKCS#8 in PEM, mode 0600, for Ed25519 or ECDSA P-256. Its public
half is written as a Multikey, z6Mk… or zDn…, and is what a passport lists.`,
		newKeyNewCommand(a), newKeyShowCommand(a))
}

type keyView struct {
	Key       jws.Multikey  `json:"key"`
	Algorithm jws.Algorithm `json:"algorithm"`
	File      string        `json:"file"`
}

func newKeyNewCommand(a *app) *cobra.Command {
	var alg, out string
	c := &cobra.Command{
		Use:   "new --out FILE",
		Short: "make a key; prints its public half",
		Long: `Makes a private key, writes it to a file that only you can read, and prints the
public half. An existing file is never written over.`,
		Example: `  dcann key new --out alice.pem
  dcann key new --alg ES256 --out phone.pem`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			if alg != string(jws.Ed25519) && alg != string(jws.ES256) {
				return usagef("--alg %q: expected Ed25519 or ES256", alg)
			}
			key, err := jws.GenerateKey(jws.Algorithm(alg))
			if err != nil {
				return err
			}
			if err := writeKey(out, key); err != nil {
				return err
			}
			a.say("wrote the private key to %s: keep it, nobody can give it back to you", out)
			return a.showKey(key, out)
		},
	}
	c.Flags().StringVar(&alg, "alg", string(jws.Ed25519), "Ed25519, or ES256 (ECDSA P-256)")
	c.Flags().StringVar(&out, "out", "", "file to write the private key to")
	required(c, "out")
	choices(c, "alg", string(jws.Ed25519), string(jws.ES256))
	return c
}

func newKeyShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE",
		Short:   "print the public half of a key file",
		Example: `  dcann key show alice.pem`,
		Args:    exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := readKey(args[0])
			if err != nil {
				return err
			}
			return a.showKey(key, args[0])
		},
	}
}

func (a *app) showKey(key jws.PrivateKey, file string) error {
	public := key.Public()
	v := keyView{Key: public.Multikey(), Algorithm: public.Algorithm(), File: file}
	return a.show(v, func(w io.Writer) { _ = printLine(w, "%s", v.Key) })
}
