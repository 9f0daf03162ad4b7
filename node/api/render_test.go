package api

import (
	"bytes"
	stdjson "encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

const (
	testID   = registry.ID("did:dcann:zz:bciqaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	testTime = registry.Millis(1795000000123)
)

// randomView makes a view with anything in it that can be there.
func randomView(r *rand.Rand) *state.View {
	word := func() string {
		return []string{"a", "Ω — é", `"quoted\"`, "tab\tnewline\n", "<b>&amp;</b>", "\u2028", "", "x-1", "emoji 🙂"}[r.IntN(9)]
	}
	retired := int64(5)
	v := &state.View{
		ID: testID, Kind: registry.Passport, Status: []registry.Status{registry.Active, registry.Deactivated, registry.Erased}[r.IntN(3)],
		Head: "bhead", Seq: r.Uint64N(9), Created: testTime, Updated: testTime + registry.Millis(r.IntN(5000)),
		FinalAt: []registry.Millis{0, testTime - 1, testTime, testTime + 1}[r.IntN(4)], Position: r.Uint64(),
		Version: "bversion", VersionTime: testTime, NextVersion: registry.OpID([]string{"", "bnext"}[r.IntN(2)]), NextUpdate: testTime,
		Undone: r.IntN(2) == 0, RecordJSON: []byte(`{"kind":"passport"}`),
	}
	for i := range r.IntN(4) {
		k := registry.Key{ID: "k" + string(rune('0'+i)), Key: jws.Multikey("z" + word()), Use: [][]registry.Use{{registry.UseGrant}, {registry.UseAuth}, {registry.UseGrant, registry.UseAuth}, {registry.UseSign}}[r.IntN(4)]}
		if r.IntN(3) == 0 {
			k.Retired = &retired
		}
		v.Keys = append(v.Keys, k)
	}
	for i := range r.IntN(5) {
		s := state.StrandView{Disclosure: registry.Disclosure{Digest: registry.Digest(word()), Strand: registry.Strand{
			ID: "s" + string(rune('0'+i)), Provider: testID, Path: "s/a", Visibility: []registry.Visibility{registry.Public, registry.Granted}[r.IntN(2)],
		}}}
		for range r.IntN(3) {
			s.Strand.Class, s.Strand.Tags = append(s.Strand.Class, word()), append(s.Strand.Tags, word())
		}
		if r.IntN(2) == 0 {
			s.Acceptance = &registry.AcceptanceState{Accepted: r.IntN(2) == 0}
		}
		if r.IntN(2) == 0 {
			s.Withheld = registry.ProviderSuspended
		}
		for range r.IntN(3) + 1 {
			s.Endpoints = append(s.Endpoints, registry.Endpoint{URL: "https://vault.example/x/"})
		}
		v.Strands = append(v.Strands, s)
	}
	if r.IntN(2) == 0 {
		v.Kind = registry.Organisation
		v.Organisation = &state.OrganisationView{
			Standing: []registry.OrgStatus{registry.OrgActive, registry.OrgPending}[r.IntN(2)], Epoch: r.Uint64N(3),
			Since: []registry.Millis{0, testTime}[r.IntN(2)], Reason: word(), Record: &registry.Record{},
		}
		for range r.IntN(3) {
			v.Organisation.Record.Endpoints = append(v.Organisation.Record.Endpoints, registry.Endpoint{Protocol: "urn:" + word(), URL: "https://v.example/"})
		}
	}
	return v
}

// recordOf is the record that v is, made the slow way.
func recordOf(v *state.View) wire.Record {
	r := wire.Record{
		ID: v.ID, Kind: v.Kind, Status: v.Status, Head: v.Head, Seq: v.Seq, Position: v.Position,
		Created: wire.Time(v.Created), Updated: wire.Time(v.Updated),
	}
	if v.FinalAt >= testTime {
		r.FinalAt = wire.Time(v.FinalAt)
	}
	if o := v.Organisation; o != nil {
		r.Organisation = &wire.Standing{Status: o.Standing, Epoch: o.Epoch, Since: wire.Time(o.Since), Reason: o.Reason}
	}
	if v.Status != registry.Active {
		return r
	}
	r.Record = v.RecordJSON
	for _, s := range v.Strands {
		if s.Strand.Visibility != registry.Public {
			continue
		}
		out := wire.Strand{ID: s.Strand.ID, Digest: s.Digest, Provider: s.Strand.Provider, Path: s.Strand.Path, Visibility: s.Strand.Visibility,
			Class: s.Strand.Class, Tags: s.Strand.Tags, Accepted: s.Acceptance != nil && s.Acceptance.Accepted, Withheld: s.Withheld}
		if s.Withheld == "" {
			out.Endpoint = endpointsOf(s)
		}
		r.Strands = append(r.Strands, out)
	}
	return r
}

func endpointsOf(s state.StrandView) (urls wire.Endpoints) {
	for _, e := range s.Endpoints {
		urls = append(urls, s.Strand.Endpoint(e))
	}
	return urls
}

func documentOf(v *state.View, context []string) wire.Document {
	d := wire.Document{Context: context, ID: v.ID}
	for _, k := range v.Keys {
		id := string(v.ID) + "#" + k.ID
		d.VerificationMethod = append(d.VerificationMethod, wire.VerificationMethod{ID: id, Type: "Multikey", Controller: v.ID, PublicKeyMultibase: string(k.Key)})
		if k.Retired != nil {
			continue
		}
		if k.Has(registry.UseAuth) || k.Has(registry.UseSign) {
			d.Authentication = append(d.Authentication, id)
		}
		if k.Has(registry.UseGrant) {
			d.AssertionMethod = append(d.AssertionMethod, id)
		}
	}
	for _, s := range v.Strands {
		if s.Strand.Visibility == registry.Public && s.Withheld == "" {
			d.Service = append(d.Service, wire.Service{ID: string(v.ID) + "#" + s.Strand.ID, Type: "DataVault", Endpoint: endpointsOf(s)})
		}
	}
	if o := v.Organisation; o != nil && o.Standing == registry.OrgActive {
		for i, e := range o.Record.Endpoints {
			d.Service = append(d.Service, wire.Service{ID: string(v.ID) + "#endpoint." + string(rune('1'+i)), Type: "VaultProvider", Endpoint: wire.Endpoints{e.URL}, Protocol: e.Protocol})
		}
	}
	return d
}

func metadataOf(v *state.View) wire.DocumentMetadata {
	second := func(m registry.Millis) string { return m.Time().Format(wire.SecondsLayout) }
	m := wire.DocumentMetadata{Created: second(v.Created), Updated: second(v.VersionTime), Deactivated: v.Status != registry.Active, VersionID: v.Version, Undone: v.Undone}
	if v.NextVersion != "" {
		m.NextVersionID, m.NextUpdate = v.NextVersion, second(v.NextUpdate)
	}
	if v.FinalAt >= testTime {
		m.FinalAt = second(v.FinalAt)
	}
	return m
}

// TestRenderingEqualsEncoding holds the appending renderers against the encoder, byte for byte.
func TestRenderingEqualsEncoding(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		v := randomView(r)
		for name, c := range map[string]struct {
			got  []byte
			want any
		}{
			"record":        {appendRecord(nil, v, testTime), recordOf(v)},
			"document":      {appendDocument(nil, v, wire.ContextLD), documentOf(v, wire.ContextLD)},
			"bare document": {appendDocument(nil, v, nil), documentOf(v, nil)},
			"metadata":      {appendDocumentMetadata(nil, v, testTime), metadataOf(v)},
			"submitted":     {appendSubmitted(nil, state.Result{ID: v.ID, Op: v.Head, Seq: v.Seq, Position: v.Position}), wire.Submitted{ID: v.ID, Op: v.Head, Seq: v.Seq, Position: v.Position}},
		} {
			want, err := wire.Encode(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.got, want) {
				t.Fatalf("%s is rendered as\n%s\nand encoded as\n%s", name, c.got, want)
			}
		}
	}
}

// FuzzAppendString holds the escaping against two encoders.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `"`, `\`, "\x00\x1f\x7f", "é", "\u2028", "\xff", "😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendString(nil, s)
		if !stdjson.Valid(got) {
			t.Fatalf("%q is written as %s", s, got)
		}
		var back string
		if err := stdjson.Unmarshal(got, &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && back != s && !strings.Contains(back, "\ufffd") {
			t.Fatalf("%q comes back as %q %v", s, back, err)
		}
		if want, err := json.Marshal(s); err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q is written as %s, expected %s", s, got, want)
		}
	})
}

// TestSignedRecordStaysOnOneLine: JSON that was signed with line ends would break the lines of a batch.
func TestSignedRecordStaysOnOneLine(t *testing.T) {
	t.Parallel()
	v := &state.View{ID: testID, Kind: registry.Passport, Status: registry.Active, RecordJSON: []byte("{\r\n \"kind\":\n\"passport\"}")}
	got := appendRecord(nil, v, 0)
	if bytes.ContainsAny(got, "\r\n") {
		t.Fatalf("rendered with line ends: %q", got)
	}
	var r wire.Record
	decode(t, got, &r)
	if v.RecordJSON[1] != '\r' {
		t.Error("rendering changed the signed bytes")
	}
}

func TestParseIdentifiers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`: "", ` [ ] `: "", `["a"]`: "a", "[ \"a\" ,\n\"b\" ]\n": "a b", `["\u0061"]`: "a", `["é"]`: "é", `[""]`: "",
	} {
		ids, err := parseIdentifiers([]byte(text))
		if err != nil || strings.Join(ids, " ") != want {
			t.Errorf("%s is %q %v, expected %q", text, ids, err, want)
		}
	}
	for _, text := range []string{``, `[`, `["a"`, `["a",]`, `[,]`, `["a" "b"]`, `["a"]]`, `["a"] x`, `{"a":1}`, `[1]`, `[null]`, `["a]`, `"a"`, "[\"\n\"]", "[\"\xff\"]"} {
		if ids, err := parseIdentifiers([]byte(text)); registry.KindOf(err) != registry.Invalid {
			t.Errorf("%q is %q %v, expected invalid", text, ids, err)
		}
	}
	if _, err := parseIdentifiers([]byte("[" + strings.Repeat(`"a",`, wire.MaxResolve) + `"a"]`)); registry.KindOf(err) != registry.TooLarge {
		t.Errorf("one too many: %v", err)
	}
	if ids, err := parseIdentifiers([]byte("[" + strings.Repeat(`"a",`, wire.MaxResolve-1) + `"a"]`)); err != nil || len(ids) != wire.MaxResolve {
		t.Errorf("as many as allowed: %d %v", len(ids), err)
	}
}

// FuzzScanStrings: what the quick parser takes, the strict one takes too and understands alike.
func FuzzScanStrings(f *testing.F) {
	for _, s := range []string{`[]`, `["a","b"]`, ` ["did:dcann:zz:b"] `, `["\u0061"]`, `["a",]`, `[""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, ok := scanStrings(text)
		if !ok {
			return
		}
		var want []string
		if err := jws.DecodeJSON([]byte(text), &want); err != nil {
			t.Fatalf("%q is taken, but %v", text, err)
		}
		if len(ids) != len(want) || strings.Join(ids, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("%q is %q, expected %q", text, ids, want)
		}
	})
}
