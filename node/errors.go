package node

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/dcann/dcann/node/peer"
	"github.com/dcann/dcann/registry"
)

func fail(kind registry.Kind, format string, args ...any) error {
	return &registry.Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error { return fail(registry.Invalid, format, args...) }

// ErrAddressInUse is what Open returns when another program listens on an address of its own. Its kind is Unavailable,
// for the program may end.
var ErrAddressInUse = fail(registry.Unavailable, "in use by another program: stop that, or name another address, with port 0 for a free one")

// unopened is why what the configuration names could not be opened: its mistake, unless that may go away by itself.
func unopened(what string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is %w", what, ErrAddressInUse)
	case errors.Is(err, peer.ErrMismatch):
		return fail(registry.Unavailable, "%v", err)
	}
	return invalid("%v", err)
}
