package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// rotation reads the keys of --rotation, strongest first: key files, or Multikeys of keys that are kept
// elsewhere. signer is the strongest that is a file; nil if none is.
func rotation(args []string) (keys []jws.Multikey, signer *jws.PrivateKey, err error) {
	for _, arg := range args {
		public, private, err := publicKey(arg)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, public)
		if signer == nil {
			signer = private
		}
	}
	return keys, signer, nil
}

// addKeys lists keys of --grant-key, --auth-key or --sign-key in r: each [ID=]FILE or [ID=]MULTIKEY, with
// the next free id <use>-<n> when none is given. A key that is listed already gets the use added.
func addKeys(r *registry.Record, use registry.Use, args []string) error {
	for _, arg := range args {
		id, rest, named := strings.Cut(arg, "=")
		if !named {
			id, rest = "", arg
		}
		public, _, err := publicKey(rest)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(r.Keys, func(k registry.Key) bool { return k.Key == public })
		switch {
		case at < 0:
			if id == "" {
				id = freeID(r, use)
			}
			r.Keys = append(r.Keys, registry.Key{ID: id, Key: public, Use: []registry.Use{use}})
		case named && r.Keys[at].ID != id:
			return usagef("key %s is listed as %q already: expected that id, not %q", public, r.Keys[at].ID, id)
		case !r.Keys[at].Has(use):
			r.Keys[at].Use = append(slices.Clone(r.Keys[at].Use), use)
		}
	}
	return nil
}

func freeID(r *registry.Record, use registry.Use) string {
	for n := 1; ; n++ {
		id := fmt.Sprintf("%s-%d", use, n)
		if _, taken := r.Key(id); !taken {
			return id
		}
	}
}

// removeKeys takes listed keys off by their ids.
func removeKeys(r *registry.Record, ids []string) error {
	for _, id := range ids {
		if _, ok := r.Key(id); !ok {
			return usagef("no key %q is listed: there are %s", id, keyIDs(r))
		}
		r.Keys = slices.DeleteFunc(r.Keys, func(k registry.Key) bool { return k.ID == id })
	}
	return nil
}

// retireKeys marks listed keys as retired at a time: what they signed before still stands.
func retireKeys(r *registry.Record, ids []string, at int64) error {
	for _, id := range ids {
		i := slices.IndexFunc(r.Keys, func(k registry.Key) bool { return k.ID == id })
		if i < 0 {
			return usagef("no key %q is listed: there are %s", id, keyIDs(r))
		}
		if r.Keys[i].Retired == nil {
			r.Keys[i].Retired = &at
		}
	}
	return nil
}

func keyIDs(r *registry.Record) string {
	var ids []string
	for _, k := range r.Keys {
		ids = append(ids, k.ID)
	}
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, ", ")
}

// signerOf finds the key that signs a create: --key if given, else the strongest key file of --rotation.
func signerOf(keyFile string, strongest *jws.PrivateKey) (jws.PrivateKey, error) {
	if keyFile != "" {
		return readKey(keyFile)
	}
	if strongest == nil {
		return jws.PrivateKey{}, usageError{errors.New("no key to sign with: expected a key file in --rotation, or --key")}
	}
	return *strongest, nil
}
