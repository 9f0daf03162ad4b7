package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry/wire"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"Vault “Ünö” 数据 …", "Vault “Ünö” 数据 …"},
		{"\x1b[2Jgone", `\x1b[2Jgone`},
		{"a\r\nb\tc", `a\r\nb\tc`},
		{"\u009b31m", `\u009b31m`},
		{"did:\u202eevil\u2066", `did:\u202eevil\u2066`},
		{"line\u2028end", `line\u2028end`},
		{"\xff\x9b", `\xff\x9b`},
	} {
		if got := visible(tt.text); got != tt.want {
			t.Errorf("%q is shown as %q: expected %q", tt.text, got, tt.want)
		}
	}
	if got := visibleLines("one\ntwo\x1b"); got != "one\ntwo\\x1b" {
		t.Errorf("got %q", got)
	}
}

// TestRegistryCannotControlTheTerminal: whatever a registry says, where it can say something, none of it is
// taken for a command by the terminal.
func TestRegistryCannotControlTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "x\x1b]0;evil\x07\u009b2J\u202e\r\nforged: line"
	const id = "did:dcann:xz:bciqcn66knvkrtm4yq4yxhpgnpgtpk5fmm6yfrrqyo6vb2pd5wkvf3da"
	answer := func(w http.ResponseWriter, status int, mediaType string, v any) {
		text, err := wire.Encode(v)
		if err != nil {
			t.Error(err)
		}
		if mediaType != wire.TypeNDJSON { // which is answered 200, in several lines
			w.Header().Set("Content-Type", mediaType)
			w.WriteHeader(status)
		}
		_, _ = w.Write(append(text, '\n'))
	}
	record := map[string]any{"id": id, "kind": evil, "status": evil, "head": evil, "seq": 1, "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
		"record": map[string]any{"rotation": []string{evil}, "keys": []any{map[string]any{"id": evil, "key": evil, "use": []string{evil}}}, "strands": []any{}, "name": evil, "roles": []string{evil}, "domain": evil,
			"endpoints": []any{map[string]any{"url": evil, "protocol": evil}}},
		"organisation": map[string]any{"status": evil, "epoch": 1, "reason": evil, "since": "2026-01-01T00:00:00Z"},
		"strands":      []any{map[string]any{"id": evil, "withheld": evil, "provider": evil, "class": []string{evil}, "tags": []string{evil}}}}
	mux := http.NewServeMux()
	mux.HandleFunc(wire.PathRecords, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, wire.TypeJSON, record) })
	mux.HandleFunc(wire.PathOrganisations, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, wire.TypeJSON, map[string]any{"organisations": []any{record}, "next": evil})
	})
	mux.HandleFunc(wire.PathResolve, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", wire.TypeNDJSON)
		answer(w, 200, wire.TypeNDJSON, map[string]any{"id": id, "status": 200, "record": record})
		answer(w, 200, wire.TypeNDJSON, map[string]any{"id": id, "status": 404, "problem": map[string]any{"status": 404, "detail": evil}})
	})
	mux.HandleFunc(wire.PathRegistry, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, wire.TypeProblem, map[string]any{"type": wire.ProblemBase + "not-found", "status": 404, "detail": evil})
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, args := range [][]string{
		{"passport", "show", id}, {"org", "list"}, {"resolve", id, id}, {"passport", "history", id},
	} {
		var out, errs bytes.Buffer
		run(t.Context(), append(args, "--registry", server.URL), strings.NewReader(""), &out, &errs, nil)
		text := out.String() + errs.String()
		if !strings.Contains(text, `x\x1b]0;evil\a\u009b2J\u202e\r\nforged: line`) {
			t.Errorf("%v: the registry's words are not there: %q", args, text)
		}
		if i := strings.IndexAny(text, "\x1b\x07\r\u009b\u202e"); i >= 0 || strings.Contains(text, "\nforged") {
			t.Errorf("%v: a terminal would act on %q", args, text)
		}
	}
	var out bytes.Buffer
	a := &app{stdout: &out, output: "text", now: time.Now}
	if err := a.event(wire.Event{Type: wire.EventType(evil)}); err != nil || strings.ContainsAny(strings.TrimSuffix(out.String(), "\n"), "\x1b\n") {
		t.Errorf("watch: %v, %q", err, out.String())
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, shown string
		want        int64
	}{
		{"0", "0", 0}, {"1000", "1000", 1000}, {"1048576", "1MiB", 1 << 20}, {"512MiB", "512MiB", 512 << 20}, {"1536 KiB", "1536KiB", 1536 << 10}, {"8GiB", "8GiB", 8 << 30}, {"1TiB", "1TiB", 1 << 40},
	} {
		var n int64
		s := size[int64]{&n}
		if err := s.Set(tt.text); err != nil || n != tt.want || s.String() != tt.shown {
			t.Errorf("%q: %d, shown as %q, %v: expected %d, %q", tt.text, n, s, err, tt.want, tt.shown)
		}
	}
	for _, text := range []string{"", "-5", "1MB", "1.5GiB", "MiB", "9000000000TiB", "9223372036854775808"} {
		n := int64(7)
		if err := (size[int64]{&n}).Set(text); err == nil || n != 7 || !strings.Contains(err.Error(), "such as 512MiB") {
			t.Errorf("%q: %d, %v: expected to be told what a size is", text, n, err)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"DCANN_HTPT", "DCANN_HTTP", 2}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%s, %s: %d, expected %d", tt.a, tt.b, got, tt.want)
		}
	}
}
