package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is the flag of a number of bytes, such as 512MiB.
type size[T int64 | uint64] struct{ bytes *T }

var sizeUnits = []struct {
	suffix string
	shift  int
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}

// Set implements pflag.Value.
func (s size[T]) Set(text string) error {
	digits, shift := text, 0
	for _, unit := range sizeUnits {
		if before, ok := strings.CutSuffix(text, unit.suffix); ok {
			digits, shift = strings.TrimSpace(before), unit.shift
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return fmt.Errorf("expected a number of bytes, or one with KiB, MiB, GiB or TiB, such as 512MiB")
	}
	*s.bytes = T(n) << shift
	return nil
}

// String implements pflag.Value.
func (s size[T]) String() string {
	if s.bytes == nil || *s.bytes == 0 {
		return "0" // which pflag takes for no default
	}
	n, unit := *s.bytes, ""
	for _, u := range sizeUnits {
		if n%(1<<u.shift) == 0 {
			unit = u.suffix
		}
	}
	for _, u := range sizeUnits {
		if u.suffix == unit {
			n >>= u.shift
		}
	}
	return strconv.FormatUint(uint64(n), 10) + unit
}

// Type implements pflag.Value.
func (s size[T]) Type() string { return "size" }
