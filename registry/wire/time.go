package wire

import (
	"fmt"
	"time"

	"github.com/dcann/dcann/registry"
)

// Time is registry time as text: RFC 3339 in UTC with exactly three decimals, 2026-11-21T17:50:00.123Z, so
// that a time has one spelling and texts sort as times do. The zero value is "none" and left out.
type Time registry.Millis

// SecondsLayout is the form of times in DID Resolution: UTC with Z and no fractions.
const SecondsLayout = "2006-01-02T15:04:05Z"

// Millis is t as registry time.
func (t Time) Millis() registry.Millis { return registry.Millis(t) }

// AppendText implements encoding.TextAppender; it does not fail for the years 0 to 9999.
func (t Time) AppendText(dst []byte) ([]byte, error) { return AppendTime(dst, registry.Millis(t)), nil }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// String is t as it is written.
func (t Time) String() string { return string(AppendTime(nil, registry.Millis(t))) }

// UnmarshalText accepts any time of RFC 3339, whatever its zone, to the millisecond.
func (t *Time) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("time %.40q: expected RFC 3339", text)
	}
	*t = Time(registry.MillisOf(at))
	return nil
}

// AppendTime writes m as Time does.
func AppendTime(dst []byte, m registry.Millis) []byte {
	dst = appendSeconds(dst, m)
	ms := m.Time().Nanosecond() / 1e6
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// AppendSeconds writes m in SecondsLayout: the second that m is in.
func AppendSeconds(dst []byte, m registry.Millis) []byte { return append(appendSeconds(dst, m), 'Z') }

// appendSeconds is time's formatting for the one layout of ours, which is a third of the cost of an answer
// that is rendered anew.
func appendSeconds(dst []byte, m registry.Millis) []byte {
	t := m.Time()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, byte('0'+year/1000%10), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-')
	dst = append(two(dst, int(month)), '-')
	dst = append(two(dst, day), 'T')
	dst = append(two(dst, hour), ':')
	dst = append(two(dst, minute), ':')
	return two(dst, second)
}

func two(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }
