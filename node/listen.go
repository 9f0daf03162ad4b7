package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// ErrAddressInUse is what Open returns when another program listens on Config.HTTP. Its kind is Invalid.
var ErrAddressInUse = invalid("in use by another program: name another address with --http, or port 0 for a free one")

// listenHTTP opens the public listener, with TLS if there is a certificate.
func listenHTTP(address string, cert *certificate) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("http %s is %w", address, ErrAddressInUse)
	}
	if err != nil {
		return nil, invalid("http %s: %v", address, err)
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
			return nil, invalid("admin %s: %v", address, err)
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
