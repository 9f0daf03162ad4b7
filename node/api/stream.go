package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// stream is an answer whose length is not known when it begins. Every write has a deadline of its own, so
// that a reader who stops reading is cut off, and one that reads slowly is not.
type stream struct {
	response *echo.Response
	control  *http.ResponseController
	timeout  time.Duration
}

func newStream(c echo.Context, timeout time.Duration) *stream {
	w := c.Response()
	return &stream{response: w, control: http.NewResponseController(w.Writer), timeout: timeout}
}

func (s *stream) header() http.Header { return s.response.Header() }

// write writes all of b in pieces that a slow line can carry within the time-out.
func (s *stream) write(b []byte) error {
	const piece = 64 << 10
	for len(b) > 0 {
		n := min(piece, len(b))
		s.extend()
		if _, err := s.response.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// flush makes what was written so far reach the reader.
func (s *stream) flush() error {
	s.extend()
	return s.control.Flush()
}

// finish flushes, and takes away the deadline: the connection may carry further requests.
func (s *stream) finish() {
	if s.flush() == nil {
		_ = s.control.SetWriteDeadline(time.Time{})
	}
}

// extend is best effort: what is not a network connection, as in tests, has no deadlines.
func (s *stream) extend() { _ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) }
