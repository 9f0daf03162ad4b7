package jws

import (
	"errors"
	"fmt"
	"testing"
)

// The kind survives wrapping, and is the wire code.
func TestErrorKind(t *testing.T) {
	t.Parallel()
	_, err := ParseName("x")
	err = fmt.Errorf("read the head: %w", err)
	var kind Kind
	if !errors.Is(err, Invalid) || errors.Is(err, BadSignature) || !errors.As(err, &kind) || kind.Error() != "invalid" {
		t.Errorf("got kind %q of %v", kind, err)
	}
}
