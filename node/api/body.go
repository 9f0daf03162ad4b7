package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// expectType refuses a body of another media type with 415: a type that a browser sends without asking
// (text/plain, a form) must never write.
func expectType(r *http.Request, want string) error {
	if got := r.Header.Get("Content-Type"); !wire.IsMediaType(got, want) {
		return &httpError{problem: wire.BlankProblem(http.StatusUnsupportedMediaType, "content-type "+quoted(got)+": expected "+want)}
	}
	if got := r.Header.Get("Content-Encoding"); got != "" && got != "identity" {
		return &httpError{problem: wire.BlankProblem(http.StatusUnsupportedMediaType, "content-encoding "+quoted(got)+": expected none")}
	}
	return nil
}

// readBody reads a whole body of at most limit bytes; a longer one is refused before more is read
// (DESIGN 6: 413 comes first). The error's kind is TooLarge or Invalid.
func readBody(c echo.Context, limit int) ([]byte, error) {
	r := c.Request()
	if r.ContentLength > int64(limit) {
		return nil, refuse(registry.TooLarge, "body has %d bytes: expected at most %d", r.ContentLength, limit)
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(r.Body, int64(limit)+1))
	switch {
	case n > int64(limit):
		return nil, refuse(registry.TooLarge, "body has more than %d bytes", limit)
	case err != nil:
		return nil, unread(err)
	}
	return buf.Bytes(), nil
}

// unread is the error of a body that could not be read to its end.
func unread(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid("body ends before its announced length")
	}
	return invalid("body could not be read: the connection failed or was too slow")
}

// quoted is a short piece of what the client sent, for a message, with anything odd in it escaped.
func quoted(s string) string {
	if len(s) > 80 {
		return strconv.Quote(s[:80]) + "…"
	}
	return strconv.Quote(s)
}
