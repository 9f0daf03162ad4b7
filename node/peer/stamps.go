package peer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Stamps remembers what some files looked like, to tell when one was written anew or another put in its place. Not
// safe for concurrent use.
type Stamps []stamp

type stamp struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
}

// Changed reports whether one of the files is another than at the last call, or it is the first. The error is about
// a file that cannot be looked at; then nothing is remembered.
func (s *Stamps) Changed(files ...string) (bool, error) {
	now := make(Stamps, len(files))
	for i, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return false, err
		}
		now[i] = stamp{info.ModTime(), info.Size(), info.Mode().Perm()}
	}
	changed := !slices.Equal(*s, now)
	*s = now
	return changed, nil
}

// LoadPair reads a certificate and its key from PEM files. A key that others than its owner and group can read is
// refused. The error begins with cert or key, for the caller to make a setting's name of, and names the file; it is ErrMismatch for two that are no pair.
func LoadPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := readPEM(cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cert: %w", err)
	}
	keyPEM, err := readKey(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err != nil && bytes.Contains(certPEM, []byte("-----END CERTIFICATE-----")) && bytes.Contains(keyPEM, []byte("PRIVATE KEY-----")):
		return tls.Certificate{}, fmt.Errorf("cert %s and key %s: %w: %w", cert, key, ErrMismatch, err)
	case err != nil:
		return tls.Certificate{}, fmt.Errorf("cert %s with key %s: %w", cert, key, err)
	}
	return pair, nil
}

// ErrMismatch says that a certificate and a key are no pair, as between the two files of a renewal being copied.
var ErrMismatch = errors.New("expected a pair: is one of them new, and the other not yet")
