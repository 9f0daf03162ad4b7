package peer

import (
	"crypto/tls"
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
// refused. The error names the file, and what for.
func LoadPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := readPEM(cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	keyPEM, err := readKey(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s with key %s: %w", cert, key, err)
	}
	return pair, nil
}
