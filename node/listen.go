package node

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
)

// listenHTTP opens the public listener, with TLS if there is a certificate.
func listenHTTP(address string, cert *certificate) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, unopened("http "+address, fmt.Errorf("http %s: %w", address, err))
	}
	if cert != nil {
		l = tls.NewListener(l, cert.config())
	}
	return l, nil
}

// listenAdmin opens the operator's listener; nil when it is off. The caller holds the lock on the data
// directory, so a socket that is left there is of a process that ended.
func listenAdmin(address string) (net.Listener, error) {
	if address == AdminOff {
		return nil, nil
	}
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, unopened("admin "+address, fmt.Errorf("admin %s: %w", address, err))
		}
		return l, nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("admin listener: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	return l, nil
}
