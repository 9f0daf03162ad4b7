package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/dcann/dcann/registry/jws"
)

// maxKeyFile bounds what is read of a key file, in bytes; a key is about 250.
const maxKeyFile = 16 << 10

// readKey reads a private key from a PKCS#8 PEM file. A file that others may read is refused, as ssh does:
// a key that somebody else could have copied is not the person's any more.
func readKey(path string) (jws.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return jws.PrivateKey{}, usageError{fmt.Errorf("key file: %w", err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return jws.PrivateKey{}, usageError{fmt.Errorf("key file: %w", err)}
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o077 != 0 {
		return jws.PrivateKey{}, usagef("key file %s has mode %04o: others can read it; expected 0600 (chmod 600 %s)", path, mode.Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return jws.PrivateKey{}, usageError{fmt.Errorf("key file: %w", err)}
	}
	key, err := jws.ParsePrivateKey(text)
	if err != nil {
		return jws.PrivateKey{}, usageError{fmt.Errorf("key file %s: %w", path, err)}
	}
	return key, nil
}

// writeKey writes a new key file with mode 0600. It never writes over one: the old key would be gone, and
// with it what it owns.
func writeKey(path string, key jws.PrivateKey) (err error) {
	text, err := key.PEM()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s exists: a key is never written over; name another file", path)
	}
	if err != nil {
		return usageError{fmt.Errorf("key file: %w", err)}
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(path)
		}
	}()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}

// publicKey takes what a flag names: a Multikey as text, or a private key file whose public half is
// meant. private is nil for a Multikey.
func publicKey(arg string) (public jws.Multikey, private *jws.PrivateKey, err error) {
	if key, err := jws.ParseMultikey(arg); err == nil {
		return key.Multikey(), nil, nil
	}
	if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) {
		return "", nil, usagef("key %q: expected a key file, or a Multikey (z6Mk… or zDn…)", arg)
	}
	key, err := readKey(arg)
	if err != nil {
		return "", nil, err
	}
	return key.Public().Multikey(), &key, nil
}
