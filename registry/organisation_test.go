package registry

import "testing"

// What is withheld, and why, when more than one thing is wrong (DESIGN 6).
func TestWithhold(t *testing.T) {
	t.Parallel()
	yes, no := &AcceptanceState{Accepted: true}, &AcceptanceState{}
	good := ProviderView{Known: true, Reachable: true, Status: Active, Standing: OrgActive, Endpoints: []Endpoint{{protocol, "https://vault.example/"}}}
	with := func(change func(*ProviderView)) ProviderView {
		p := good
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		accepted *AcceptanceState
		p        ProviderView
		want     Withheld
	}{
		"shown":                 {yes, good, ""},
		"never accepted":        {nil, good, NotAccepted},
		"withdrawn":             {no, good, Withdrawn},
		"unknown":               {nil, ProviderView{Reachable: true}, ProviderUnknown},
		"unreachable":           {yes, with(func(p *ProviderView) { p.Reachable = false }), CountryUnreachable},
		"pending":               {yes, with(func(p *ProviderView) { p.Standing = OrgPending }), ProviderPending},
		"pending, not accepted": {nil, with(func(p *ProviderView) { p.Standing = OrgPending }), ProviderPending},
		"suspended":             {yes, with(func(p *ProviderView) { p.Standing = OrgSuspended }), ProviderSuspended},
		"revoked":               {yes, with(func(p *ProviderView) { p.Standing = OrgRevoked }), ProviderRevoked},
		"deactivated":           {yes, with(func(p *ProviderView) { p.Status = Deactivated }), ProviderDeactivated},
		"revoked, deactivated":  {yes, with(func(p *ProviderView) { p.Status, p.Standing = Deactivated, OrgRevoked }), ProviderRevoked},
		"no provider any more":  {yes, with(func(p *ProviderView) { p.Endpoints = nil }), ProviderUnknown},
	} {
		if got := Withhold(c.accepted, c.p); got != c.want {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
}
