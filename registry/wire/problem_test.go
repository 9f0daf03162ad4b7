package wire_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// statuses is DESIGN 10, written down again.
var statuses = map[registry.Kind]int{
	registry.Invalid: 400, registry.Unauthorised: 401, registry.Forbidden: 403, registry.BadSignature: 403,
	registry.NotFound: 404, registry.Conflict: 409, registry.Gone: 410, registry.TooLarge: 413,
	registry.Misdirected: 421, registry.Quota: 429, registry.Unverifiable: 502, registry.Unavailable: 503,
	registry.Internal: 500,
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func problemHeader() http.Header {
	return http.Header{"Content-Type": {"application/problem+json; charset=utf-8"}}
}

func TestErrorSurvivesTheWire(t *testing.T) {
	t.Parallel()
	for kind, status := range statuses {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			in := &registry.Error{Kind: kind, Detail: "what, where, expected", Head: "bhead", Country: "de", RetryAfter: 1500 * time.Millisecond}
			p := wire.ProblemOf(fmt.Errorf("outer: %w", in))
			if p.Status != status || wire.StatusOf(kind) != status || p.Type != "https://dcann.org/problems/"+string(kind) || p.Title == "" {
				t.Fatalf("%s: problem %+v, expected status %d", kind, p, status)
			}
			body, err := wire.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			out := wire.ReadProblem(status, problemHeader(), body, now)
			if !errors.Is(out, kind) {
				t.Errorf("kind is %s again, expected %s", out.Kind, kind)
			}
			if kind == registry.Internal {
				if p.Detail != "" || p.Head != "" || out.Head != "" {
					t.Errorf("an internal error tells %+v", p)
				}
				return
			}
			if out.Detail != "outer: what, where, expected" || out.Head != in.Head || out.Country != in.Country || out.RetryAfter != 2*time.Second {
				t.Errorf("came back as %+v", out)
			}
		})
	}
}

func TestProblemOfOtherErrors(t *testing.T) {
	t.Parallel()
	if p := wire.ProblemOf(errors.New("pebble: /var/lib is on fire")); p.Status != 500 || p.Detail != "" {
		t.Errorf("an unknown error tells %+v", p)
	}
	_, err := jws.ParseMultikey("x")
	if p := wire.ProblemOf(err); p.Status != 400 || p.Detail == "" {
		t.Errorf("an error of form tells %+v", p)
	}
	if p := wire.ProblemOf(&registry.Error{Kind: "no-such-kind", Detail: "x"}); p.Status != 500 {
		t.Errorf("an unknown kind is %+v", p)
	}
}

func TestReadProblemOfAnybody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		kind   registry.Kind
		retry  time.Duration
	}{
		"a proxy's page":        {503, http.Header{"Content-Type": {"text/html"}}, "<h1>no</h1>", registry.Unavailable, 0},
		"a gateway's time-out":  {504, http.Header{}, "", registry.Unavailable, 0},
		"a bare 404":            {404, http.Header{}, "", registry.NotFound, 0},
		"a teapot":              {418, http.Header{}, "", registry.Invalid, 0},
		"an empty 200":          {200, http.Header{}, "", registry.Unverifiable, 0},
		"seconds in the header": {429, http.Header{"Retry-After": {"7"}}, "", registry.Quota, 7 * time.Second},
		"a date in the header":  {503, http.Header{"Retry-After": {"Sat, 21 Nov 2026 12:00:09 GMT"}}, "", registry.Unavailable, 10 * time.Second},
		"a date in the past":    {503, http.Header{"Retry-After": {"Sat, 21 Nov 2020 12:00:09 GMT"}}, "", registry.Unavailable, 0},
		"an absurd wait":        {503, http.Header{"Retry-After": {"999999999999"}}, "", registry.Unavailable, 24 * time.Hour},
		"no JSON":               {409, problemHeader(), "{", registry.Conflict, 0},
		"a kind of the future":  {451, problemHeader(), `{"type":"https://dcann.org/problems/shy","status":451}`, registry.Invalid, 0},
		"blank":                 {405, problemHeader(), `{"type":"about:blank","title":"Method Not Allowed","status":405}`, registry.Invalid, 0},
		"body against status":   {409, problemHeader(), `{"type":"about:blank","status":200}`, registry.Conflict, 0},
		"unknown members":       {410, problemHeader(), `{"type":"https://dcann.org/problems/gone","title":"t","status":410,"x":[null]}`, registry.Gone, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := wire.ReadProblem(c.status, c.header, []byte(c.body), now)
			if err.Kind != c.kind || err.RetryAfter != c.retry || err.Detail == "" {
				t.Errorf("got %+v, expected kind %s after %v", err, c.kind, c.retry)
			}
		})
	}
}
