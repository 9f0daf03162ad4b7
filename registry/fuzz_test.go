package registry

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/dcann/dcann/registry/jws"
)

// seeds gives fn every text of testdata/histories.
func seeds(f *testing.F, fn func(h history, st step)) {
	for _, path := range must(filepath.Glob(filepath.Join("testdata", "histories", "*.json")))(f) {
		var h history
		check(f, json.Unmarshal(must(os.ReadFile(path))(f), &h))
		for _, st := range h.Steps {
			fn(h, st)
		}
	}
}

// wantForm fails unless err is one that a parser may give.
func wantForm(t *testing.T, err error) {
	t.Helper()
	if k := KindOf(err); k != Invalid && k != TooLarge {
		t.Errorf("%s: %v", k, err)
	}
	if len(err.Error()) > 1000 {
		t.Errorf("message of %d bytes", len(err.Error()))
	}
}

func FuzzParseOperation(f *testing.F) {
	seeds(f, func(_ history, st step) {
		if st.Operation != "" && len(st.Operation) < 4096 {
			f.Add([]byte(st.Operation))
		}
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		op, err := ParseOperation(raw)
		if err != nil {
			wantForm(t, err)
			return
		}
		sameAgain(t, op, raw)
		if op.Act == Create && op.ID != NewID(op.Country, op.Name) || op.ID.Country() == "" {
			t.Errorf("%s", op.ID)
		}
	})
}

// FuzzPayload signs any payload, so that what lies behind a good signature is reached too.
func FuzzPayload(f *testing.F) {
	seeds(f, func(_ history, st step) {
		if op, err := ReplayOperation([]byte(st.Operation)); err == nil {
			f.Add(op.Message().Payload())
		}
	})
	k := key(f, "a")
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 || len(payload) > MaxPayload {
			return
		}
		msg := must(jws.Sign(k, string(k.multikey()), TypOperation, payload))(t)
		raw := AppendOperation(nil, msg, nil)
		op, err := ParseOperation(raw)
		if err != nil {
			wantForm(t, err)
			return
		}
		sameAgain(t, op, raw)
		again, err := op.Content.Sign(k) // what was read can be written, and means the same
		if err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		if string(must(op.Content.encode())(t)) != string(again.Message().Payload()) {
			t.Errorf("%s\nis written as\n%s", payload, again.Message().Payload())
		}
	})
}

func FuzzParseDisclosure(f *testing.F) {
	seeds(f, func(_ history, st step) {
		for text := range strings.SplitSeq(st.Operation, "~") {
			if !strings.Contains(text, ".") {
				f.Add(text)
			}
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDisclosure(text)
		if err != nil {
			wantForm(t, err)
			return
		}
		if d.Text != text || d.Digest != digestOfText(text) || DigestOf(d.Digest.Bytes()) != d.Digest {
			t.Errorf("%q: %+v", text, d)
		}
		// Wherever the provider puts its endpoint, the strand stays below it.
		base := must(url.Parse("https://vault.example/v1/"))(t)
		end := must(url.Parse(d.Strand.Endpoint(Endpoint{URL: base.String()})))(t)
		if got := base.ResolveReference(end).String(); !strings.HasPrefix(got, base.String()) || got != end.String() {
			t.Errorf("path %q leads to %s", d.Strand.Path, got)
		}
	})
}

func FuzzParseID(f *testing.F) {
	id := string(provider())
	for _, s := range []string{id, strings.ToUpper(id), id[:68], id + "a", "did:dcann:xk:" + id[13:], "did:web:example.org", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			wantForm(t, err)
			return
		}
		if string(id) != s || NewID(id.Country(), OpIDOf(id.Create().Digest())) != id || len(s) != 69 || s != strings.ToLower(s) {
			t.Errorf("%q is %s", s, id)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	seeds(f, func(_ history, st step) {
		if st.Status != "" && len(st.Status) < 4096 {
			f.Add([]byte(st.Status))
		}
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseStatus(raw)
		if err != nil {
			wantForm(t, err)
			return
		}
		if s.Message().Compact() != string(raw) || must(ReplayStatus(raw))(t).StatusContent != s.StatusContent {
			t.Errorf("%q is %+v", raw, s)
		}
	})
}

func FuzzParseAcceptance(f *testing.F) {
	seeds(f, func(_ history, st step) {
		if st.Acceptance != "" && len(st.Acceptance) < 4096 {
			f.Add([]byte(st.Acceptance))
		}
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ParseAcceptance(raw)
		if err != nil {
			wantForm(t, err)
			return
		}
		if a.Message().Compact() != string(raw) || string(a.Iss)+"#"+a.KeyID != a.Message().Header().Kid {
			t.Errorf("%q is %+v", raw, a)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	p := policy(f, "fr")
	k := key(f, "registry")
	payload := must(encodeJSON(p))(f)
	f.Add(payload)
	for _, change := range []string{`"v":2`, `"version":0`, `"country":"FR"`, `"recoveryWindowSeconds":1`, `"x":1`} {
		name, _, _ := strings.Cut(change, ":")
		at := bytes.Index(payload, []byte(name))
		if at < 0 {
			at = 1
		}
		f.Add([]byte(string(payload[:at]) + change + "," + string(payload[at:])))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 || len(payload) > MaxStatement/2 {
			return
		}
		msg := must(jws.Sign(k, string(k.multikey()), TypPolicy, payload))(t)
		p, err := ParsePolicy([]byte(msg.Compact()), nil)
		if err != nil {
			if KindOf(err) != Conflict && KindOf(err) != Forbidden {
				wantForm(t, err)
			}
			return
		}
		if p.Window() <= 0 || p.Window().Seconds() != float64(p.RecoveryWindow) || len(p.Accreditation) == 0 {
			t.Errorf("%s is %+v", payload, p)
		}
		again := must(p.Sign(k))(t)
		if _, err := ParsePolicy([]byte(again.Compact()), nil); err != nil {
			t.Error(err)
		}
	})
}

func FuzzEndpointURL(f *testing.F) {
	for _, s := range append(badEndpoints, goodEndpoints...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkEndpointURL(s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.String() != s || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Hostname() == "" {
			t.Fatalf("%q is %+v, %v", s, u, err)
		}
		// Nothing that is appended to it as a path of a strand may leave it, in any reading of the URL.
		to := u.ResolveReference(must(url.Parse("./s/8f3c/"))(t))
		if to.String() != s+"s/8f3c/" || to.JoinPath("x").Host != u.Host || strings.Contains(to.Path, "/../") || strings.Contains(to.Path, "//") {
			t.Errorf("%q leads to %s", s, to)
		}
	})
}

func TestEndpointURL(t *testing.T) {
	t.Parallel()
	for _, s := range badEndpoints {
		if checkEndpointURL(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	for _, s := range goodEndpoints {
		check(t, checkEndpointURL(s))
	}
}
