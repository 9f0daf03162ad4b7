package jws

import "fmt"

// Kind says what sort of thing was wrong. It is an error itself: errors.Is(err, jws.BadSignature).
// The values are the wire codes of the table in registry (DESIGN 10).
type Kind string

// The kinds that this package returns.
const (
	Invalid      Kind = "invalid"       // not of the required form
	TooLarge     Kind = "too-large"     // longer than the caller allows; nothing else was looked at
	BadSignature Kind = "bad-signature" // well-formed, but not signed by the key
)

func (k Kind) Error() string { return string(k) }

// Error is what every function of this package returns when it fails because of its input. Msg says
// what was wrong, where, and what was expected; it quotes at most a short piece of the input and never
// a secret.
type Error struct {
	Kind Kind
	Msg  string
}

func (e *Error) Error() string { return e.Msg }

// Unwrap gives the kind, for errors.Is.
func (e *Error) Unwrap() error { return e.Kind }

func invalid(format string, args ...any) *Error {
	return &Error{Invalid, fmt.Sprintf(format, args...)}
}

func badSignature(format string, args ...any) *Error {
	return &Error{BadSignature, fmt.Sprintf(format, args...)}
}

// maxQuoted bounds what an error quotes of its input, in bytes: long enough for a DID with a key's id.
const maxQuoted = 120

// quoted is s made printable for an error's message, and cut.
func quoted(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q…", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}

func tooLong(what string, n, max int) string {
	return fmt.Sprintf("%s: %d bytes, expected at most %d", what, n, max)
}
