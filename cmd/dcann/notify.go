package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells the service manager that started this process how it is, as sd_notify(3) describes. A nil
// one has nobody to tell.
type notifier struct {
	conn  net.Conn
	every time.Duration // how often a sign of life is expected; 0: never
}

// notifier reaches whoever NOTIFY_SOCKET names; nil if nobody asked.
func (a *app) notifier() (*notifier, error) {
	socket := a.env["NOTIFY_SOCKET"]
	if socket == "" {
		return nil, nil //nolint:nilnil // a nil notifier is one
	}
	conn, err := net.Dial("unixgram", socket) // one that begins with @ is abstract
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	n := &notifier{conn: conn}
	// WATCHDOG_PID is there when another process is meant, such as the one that started this one.
	if pid := a.env["WATCHDOG_PID"]; pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if us, err := strconv.ParseInt(a.env["WATCHDOG_USEC"], 10, 64); err == nil && us > 0 {
			n.every = time.Duration(us) * time.Microsecond
		}
	}
	return n, nil
}

// send sends one message. That it does not arrive is no reason to stop answering, and the service manager
// will say what it missed.
func (n *notifier) send(state string) {
	if n != nil {
		_, _ = n.conn.Write([]byte(state))
	}
}

// live gives signs of life until ctx is done: that this process is scheduled, and no more. A node that
// cannot go on ends by itself, and one that is slow under load must not be killed for it.
func (n *notifier) live(ctx context.Context) {
	if n == nil || n.every == 0 {
		return
	}
	tick := time.NewTicker(n.every / 3)
	defer tick.Stop()
	for {
		n.send("WATCHDOG=1")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *notifier) close() {
	if n != nil {
		_ = n.conn.Close()
	}
}
