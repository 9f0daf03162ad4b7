package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// benchTarget is where load goes: one node's base URL, taken apart once.
type benchTarget struct {
	address string // host:port
	host    string // as in the Host header
	secure  bool
}

func parseBenchTarget(base string) (benchTarget, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return benchTarget{}, usagef("--registry %q: expected http://host:port or https://host:port", base)
	}
	t := benchTarget{address: u.Host, host: u.Host, secure: u.Scheme == "https"}
	if u.Port() == "" {
		t.address = net.JoinHostPort(u.Hostname(), u.Scheme)
	}
	return t, nil
}

// benchConn is one keep-alive HTTP/1.1 connection that sends requests made beforehand and reads answers
// into one buffer. It is not net/http because the generator shares two cores with the node that it
// measures: what it spends, the node lacks. Use by one goroutine.
type benchConn struct {
	target benchTarget
	conn   net.Conn
	r      *bufio.Reader
	head   []byte // of the last answer: status line and headers
	body   []byte // of the last answer
}

// benchTimeout bounds one request, so that a node that hangs ends the run.
const benchTimeout = 60 * time.Second

func newBenchConn(t benchTarget) *benchConn {
	return &benchConn{target: t, r: bufio.NewReaderSize(nil, 64<<10)}
}

func (c *benchConn) dial(ctx context.Context) error {
	d := net.Dialer{Timeout: 5 * time.Second}
	var err error
	if c.target.secure {
		c.conn, err = (&tls.Dialer{NetDialer: &d}).DialContext(ctx, "tcp", c.target.address)
	} else {
		c.conn, err = d.DialContext(ctx, "tcp", c.target.address)
	}
	if err != nil {
		c.conn = nil
		return err
	}
	c.r.Reset(c.conn)
	return nil
}

func (c *benchConn) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// do sends one whole request and returns the status of its answer; head and body hold the rest until the
// next call. After an error the connection is closed, and the next call dials again.
func (c *benchConn) do(ctx context.Context, request []byte) (status int, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return 0, err
		}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(benchTimeout)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	return c.read()
}

var (
	headerLength   = []byte("content-length:")
	headerEncoding = []byte("transfer-encoding:")
	headerClose    = []byte("connection: close")
)

func (c *benchConn) read() (int, error) {
	c.head, c.body = c.head[:0], c.body[:0]
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, fmt.Errorf("answer begins with %.40q: expected HTTP/1.1", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, fmt.Errorf("status line %.40q", line)
	}
	length, chunked, closing := -1, false, false
	for {
		if line, err = c.line(); err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		switch {
		case foldPrefix(line, headerLength):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(headerLength):]))); err != nil {
				return 0, fmt.Errorf("header %.40q", line)
			}
		case foldPrefix(line, headerEncoding):
			chunked = true
		case foldPrefix(line, headerClose):
			closing = true
		}
	}
	switch {
	case chunked:
		err = c.chunks()
	case length > 0:
		err = c.take(length)
	case length < 0 && status != 204 && status != 304:
		err = errors.New("answer has neither a length nor chunks")
	}
	if closing {
		c.close()
	}
	return status, err
}

// line reads one header line, keeps it in head, and returns it without its end.
func (c *benchConn) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	c.head = append(c.head, line...)
	return bytes.TrimRight(line, "\r\n"), nil
}

func (c *benchConn) chunks() error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %.40q", line)
		}
		if err := c.take(int(size)); err != nil {
			return err
		}
		if _, err := c.r.Discard(2); err != nil || size == 0 {
			return err
		}
	}
}

func (c *benchConn) take(n int) error {
	at := len(c.body)
	if cap(c.body) < at+n {
		c.body = append(make([]byte, 0, 2*(at+n)), c.body...)
	}
	c.body = c.body[:at+n]
	_, err := io.ReadFull(c.r, c.body[at:])
	return err
}

func foldPrefix(line, prefix []byte) bool {
	return len(line) >= len(prefix) && bytes.EqualFold(line[:len(prefix)], prefix)
}

// get is a whole GET request.
func (t benchTarget) get(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + t.host + "\r\n\r\n")
}

// appendPost appends a whole POST request to dst.
func (t benchTarget) appendPost(dst []byte, path, mediaType string, body []byte) []byte {
	dst = append(dst, "POST "...)
	dst = append(dst, path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, t.host...)
	dst = append(dst, "\r\nContent-Type: "...)
	dst = append(dst, mediaType...)
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
