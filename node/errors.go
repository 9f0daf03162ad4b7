package node

import (
	"fmt"

	"github.com/dcann/dcann/registry"
)

func fail(kind registry.Kind, format string, args ...any) error {
	return &registry.Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error { return fail(registry.Invalid, format, args...) }
