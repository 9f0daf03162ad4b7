package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// visible is s with everything escaped that a terminal would act on instead of showing: control characters,
// line ends, marks that turn the direction of text. A registry, or whoever wrote the record that it shows,
// could otherwise move the cursor, forge a line, or make an identifier look like another.
func visible(s string) string {
	at := strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError })
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:at])
	for rest := s[at:]; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case strconv.IsPrint(r):
			b.WriteString(rest[:n])
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		rest = rest[n:]
	}
	return b.String()
}

// visibleLines is visible of each line of a text of ours, which may have several.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	return strings.Join(lines, "\n")
}

// printLine writes one line for people. All text output that may hold what a registry said goes through it.
func printLine(w io.Writer, format string, args ...any) error {
	_, err := io.WriteString(w, visible(fmt.Sprintf(format, args...))+"\n")
	return err
}
