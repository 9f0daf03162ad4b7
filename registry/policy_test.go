package registry

import (
	"strings"
	"testing"

	"github.com/dcann/dcann/registry/jws"
)

// signedPolicy is p as signed by a key, whatever p is.
func signedPolicy(t *testing.T, p *Policy, signer string) []byte {
	t.Helper()
	k := key(t, signer)
	return []byte(must(jws.Sign(k, string(k.multikey()), TypPolicy, must(encodeJSON(p))(t)))(t).Compact())
}

func TestPolicySuccession(t *testing.T) {
	t.Parallel()
	first := policy(t, "fr")
	next := func(change func(*Policy)) *Policy {
		p := *first
		p.Version = 2
		change(&p)
		return &p
	}
	for name, c := range map[string]struct {
		p       *Policy
		current *Policy
		signer  string
		kind    Kind // "" when accepted
	}{
		"the first signs itself":              {first, nil, "registry", ""},
		"the first by a key it does not name": {first, nil, "a", Forbidden},
		"the first is version 1":              {next(func(*Policy) {}), nil, "registry", Conflict},
		"the next":                            {next(func(p *Policy) { p.PerHour = 5 }), first, "registry", ""},
		"a new key, by the old":               {next(func(p *Policy) { p.Accreditation = keys(t, "new") }), first, "registry", ""},
		"a new key, by itself":                {next(func(p *Policy) { p.Accreditation = keys(t, "new") }), first, "new", Forbidden},
		"the same version again":              {next(func(p *Policy) { p.Version = 1 }), first, "registry", Conflict},
		"a version left out":                  {next(func(p *Policy) { p.Version = 3 }), first, "registry", Conflict},
		"another country":                     {next(func(p *Policy) { p.Country = "de" }), first, "registry", Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := ParsePolicy(signedPolicy(t, c.p, c.signer), c.current)
			if c.kind != "" {
				wantKind(t, err, c.kind)
				if p != nil {
					t.Error("a policy came with the error")
				}
				return
			}
			check(t, err)
			if got, want := must(encodeJSON(p))(t), must(encodeJSON(c.p))(t); string(got) != string(want) {
				t.Errorf("got %s, expected %s", got, want)
			}
		})
	}
}

func TestPolicyForm(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Policy){
		"v":                        func(p *Policy) { p.V = 2 },
		"version 0":                func(p *Policy) { p.Version = 0 },
		"country":                  func(p *Policy) { p.Country = "FR" },
		"no accreditation key":     func(p *Policy) { p.Accreditation = nil },
		"six accreditation keys":   func(p *Policy) { p.Accreditation = keys(t, "a b c d e f") },
		"a key that is none":       func(p *Policy) { p.Accreditation = append(p.Accreditation, "z6Mk") },
		"a service key of none":    func(p *Policy) { p.Service = []jws.Multikey{"z6Mk"} },
		"short window":             func(p *Policy) { p.RecoveryWindow-- },
		"no window":                func(p *Policy) { p.RecoveryWindow, p.Country = 0, "qm" },
		"long window":              func(p *Policy) { p.RecoveryWindow = 31 * 86400 },
		"too much to undo":         func(p *Policy) { p.PerDay, p.RecoveryWindow = 1000, 4*86400 },
		"no skew":                  func(p *Policy) { p.MaxClockSkew = 0 },
		"no operations":            func(p *Policy) { p.PerHour = 0 },
		"fewer a day than an hour": func(p *Policy) { p.PerDay = p.PerHour - 1 },
		"too many a day":           func(p *Policy) { p.PerDay = MaxPerDay + 1 },
		"no deactivations":         func(p *Policy) { p.Deactivations = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := policy(t, "fr")
			change(p)
			_, err := ParsePolicy(signedPolicy(t, p, "registry"), nil)
			wantKind(t, err, Invalid)
			if _, err := p.Sign(key(t, "registry")); KindOf(err) != Invalid {
				t.Errorf("signed: %v", err)
			}
		})
	}
	p := policy(t, "qm") // a test network may undo in seconds
	p.RecoveryWindow = 5
	_, err := ParsePolicy(signedPolicy(t, p, "registry"), nil)
	check(t, err)
	good := string(signedPolicy(t, policy(t, "fr"), "registry"))
	_, err = ParsePolicy([]byte(good[:len(good)-4]+"AAAA"), nil)
	if err == nil || KindOf(err) != BadSignature && KindOf(err) != Invalid {
		t.Errorf("a wrong signature: %v", err)
	}
	_, err = ParsePolicy([]byte(strings.Repeat("x", MaxStatement+1)), nil)
	wantKind(t, err, TooLarge)
	_, err = ParsePolicy([]byte(must(StatusContent{}.Sign(key(t, "registry")))(t).Compact()), nil)
	wantKind(t, err, Invalid)
}

// A shorter window would make a recovery that was right when it was made look wrong to whoever replays the
// history, and take from holders what they were promised.
func TestPolicyKeepsTheRecoveryWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, after int64 // days
		want          Kind
	}{{3, 3, ""}, {4, 3, Forbidden}, {4, 5, ""}} {
		current := policy(t, "fr")
		current.RecoveryWindow = c.before * 86400
		next := *current
		next.Version++
		next.RecoveryWindow = c.after * 86400
		_, err := ParsePolicy(signedPolicy(t, &next, "registry"), current)
		if c.want == "" {
			check(t, err)
		} else {
			wantKind(t, err, c.want)
		}
	}
}
