//go:build !linux

package peer

import (
	"net"
	"time"
)

// setUserTimeout does nothing where the system has no such option: there the deadlines of Raft and of the
// callers notice a partition, and for idle connections the keep-alive.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }
