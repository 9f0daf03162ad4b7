package cluster

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"time"
)

// pipe is one direction of a connection. The network's lock guards it.
type pipe struct {
	net      *memNet
	from, to string
	answers  bool // to who opened the connection
	waiting  []piece
	size     int
	closed   bool // by the writer: what waits is still read
	broken   bool // nothing is
}

type piece struct {
	data []byte
	at   time.Time // not to be read before
}

// pipeBytes is how many bytes wait in a pipe before its writer waits.
const pipeBytes = 64 << 10

// memConn is one end of a connection.
type memConn struct {
	in, out         *pipe
	readBy, writeBy time.Time
}

func (c *memConn) wake() {
	c.in.net.mu.Lock()
	c.in.net.moved.Broadcast()
	c.in.net.mu.Unlock()
}

func (c *memConn) Read(b []byte) (int, error) {
	n, p := c.in.net, c.in
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.broken:
			return 0, errors.New("connection reset")
		case !c.readBy.IsZero() && !now.Before(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case p.blocked():
		case len(p.waiting) > 0 && !p.waiting[0].at.After(now):
			k := copy(b, p.waiting[0].data)
			if p.waiting[0].data = p.waiting[0].data[k:]; len(p.waiting[0].data) == 0 {
				p.waiting = p.waiting[1:]
			}
			p.size -= k
			n.moved.Broadcast()
			return k, nil
		case len(p.waiting) > 0:
			time.AfterFunc(time.Until(p.waiting[0].at), c.wake)
		case p.closed:
			return 0, io.EOF
		}
		n.moved.Wait()
	}
}

func (c *memConn) Write(b []byte) (int, error) {
	n, p := c.out.net, c.out
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.link(p.from, p.to)
	if l.loss > rand.Float64() {
		p.broken, c.in.broken = true, true
		n.moved.Broadcast()
	}
	for {
		switch {
		case p.broken || p.closed:
			return 0, errors.New("connection reset")
		case !c.writeBy.IsZero() && !time.Now().Before(c.writeBy):
			return 0, os.ErrDeadlineExceeded
		case p.size < pipeBytes:
			p.waiting = append(p.waiting, piece{slices.Clone(b), time.Now().Add(l.delay)})
			p.size += len(b)
			n.moved.Broadcast()
			return len(b), nil
		}
		n.moved.Wait()
	}
}

// Close implements net.Conn.
func (c *memConn) Close() error {
	n := c.in.net
	n.mu.Lock()
	defer n.mu.Unlock()
	c.out.closed, c.in.broken = true, true
	delete(n.pipes, c.in)
	if len(c.out.waiting) == 0 {
		delete(n.pipes, c.out)
	}
	n.moved.Broadcast()
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return memAddr(c.in.to) }
func (c *memConn) RemoteAddr() net.Addr { return memAddr(c.in.from) }

func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *memConn) SetReadDeadline(t time.Time) error  { return c.until(&c.readBy, t) }
func (c *memConn) SetWriteDeadline(t time.Time) error { return c.until(&c.writeBy, t) }

func (c *memConn) until(deadline *time.Time, t time.Time) error {
	c.in.net.mu.Lock()
	defer c.in.net.mu.Unlock()
	*deadline = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t)+time.Millisecond, c.wake)
	}
	return nil
}

type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }
