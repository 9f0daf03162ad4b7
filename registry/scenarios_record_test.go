package registry

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// sorted goes through m by ascending keys, so that a scenario is the same in every run.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// holds fails unless these are the disclosures held for the scene's record.
func (s *scene) holds(want ...Disclosure) {
	s.Helper()
	var ids []string
	for _, d := range s.h.Held(s.id) {
		ids = append(ids, d.Strand.ID)
	}
	slices.Sort(ids)
	if !slices.EqualFunc(ids, want, func(id string, d Disclosure) bool { return d.Strand.ID == id }) {
		s.Errorf("holds %v: expected %d", ids, len(want))
	}
}

// records expects a create of each record, changed from a good one, to be invalid and to name the place.
func (s *scene) records(good func() *Record, changes map[string]func(*Record)) {
	s.Helper()
	for what, change := range sorted(changes) {
		r := good()
		change(r)
		says, _, _ := strings.Cut(what, ":")
		s.refuse(Invalid, says, "a", s.draft(Create, r))
	}
}

var recordScenarios = map[string]scenario{
	"invalid_record_keys": {"1 to 5 rotation keys, at most 16 others, no key and no id twice, uses as the kind has them (DESIGN 5)", func(s *scene) {
		k := func(id, name string, uses ...Use) Key {
			return Key{ID: id, Key: key(s, name).multikey(), Use: uses}
		}
		s.records(func() *Record { return passport(s, "a") }, map[string]func(*Record){
			"record.rotation: none":               func(r *Record) { r.Rotation = keys(s, "")[:0:0] },
			"record.rotation has 6: too many":     func(r *Record) { r.Rotation = keys(s, "a b c d e f") },
			"record.rotation[2]: twice":           func(r *Record) { r.Rotation = keys(s, "a b a") },
			"record.keys[0].key: in rotation too": func(r *Record) { r.Rotation = keys(s, "a grant-1") },
			"record.keys[1].key: twice":           func(r *Record) { r.Keys = append(r.Keys, k("grant-2", "grant-1", UseGrant)) },
			"record.keys[1].id: twice":            func(r *Record) { r.Keys = append(r.Keys, k("grant-1", "x", UseGrant)) },
			"record.keys has 17: too many": func(r *Record) {
				for i := range 16 {
					r.Keys = append(r.Keys, k(fmt.Sprintf("k%d", i), fmt.Sprintf("k%d", i), UseAuth))
				}
			},
			"record.keys[0].use: empty":          func(r *Record) { r.Keys[0].Use = nil },
			"record.keys[0].use: twice":          func(r *Record) { r.Keys[0].Use = []Use{UseGrant, UseGrant} },
			"record.keys[0].use: of others":      func(r *Record) { r.Keys[0].Use = []Use{UseSign} },
			"record.keys[0].use: unknown":        func(r *Record) { r.Keys[0].Use = []Use{UseGrant, "encrypt"} },
			"record.keys[0].retired: foretold":   func(r *Record) { r.Keys[0].Retired = new(s.now.Unix() + 1) },
			"record.keys[0].retired: negative":   func(r *Record) { r.Keys[0].Retired = new(int64(-1)) },
			"record.keys[0].id: empty":           func(r *Record) { r.Keys[0].ID = "" },
			"record.keys[0].id: capital":         func(r *Record) { r.Keys[0].ID = "Grant" },
			"record.keys[0].id: digit first":     func(r *Record) { r.Keys[0].ID = "1grant" },
			"record.keys[0].id: 33 characters":   func(r *Record) { r.Keys[0].ID = strings.Repeat("g", 33) },
			"record.keys[0].id: line end":        func(r *Record) { r.Keys[0].ID = "grant\n" },
			"record.keys[0].id: underscore":      func(r *Record) { r.Keys[0].ID = "grant_1" },
			"record.kind: unknown":               func(r *Record) { r.Kind = "vault" },
			"record.strands[1]: digest twice":    func(r *Record) { r.Strands = []Digest{decoys(1)[0], decoys(1)[0]} },
			"record.strands has 65: too many":    func(r *Record) { r.Strands = decoys(65) },
			"record.strands[0]: not a digest":    func(r *Record) { r.Strands = []Digest{"abc"} },
			"record.strands[0]: not base64url":   func(r *Record) { r.Strands = []Digest{Digest(strings.Repeat("+", 43))} },
			"record.strands[0]: stray bits":      func(r *Record) { r.Strands = []Digest{Digest(strings.Repeat("B", 43))} },
			"record.strands[0]: 32 bytes padded": func(r *Record) { r.Strands = []Digest{decoys(1)[0][:42] + "="} },
		})
	}},
	"invalid_record_members": {"a record has the members of its kind, all that are needed and no others (DESIGN 5)", func(s *scene) {
		s.edits(passport(s, "a"), "record", `"strands":[]`, `"strands":[],"name":"x"`, `"strands":[]`, `"strands":[],"lei":"x"`, `"strands":[]`, `"strands":[],"endpoints":[]`,
			`"strands":[]`, `"strands":[],"roles":[]`, `"strands":[]`, `"strands":[],"uses":[]`, `"strands":[]`, `"strands":[],"domain":""`, `,"strands":[]`, ``,
			`"kind":"passport",`, ``, `"rotation":`, `"strands2":`)
		s.edits(passport(s, "a"), "", `"strands":[]`, `"strands":[{}]`, `"strands":[]`, `"strands":["AAAA"]`, `"strands":[]`, `"strands":{}`, `"use":["grant"]`, `"use":"grant"`)
		s.edits(organisation(s, "a", "Vault"), "record", `"name":"Vault",`, ``, `"jurisdiction":"fr",`, ``, `"roles":["provider"],`, ``, `"jurisdiction"`, `"strands":[],"jurisdiction"`,
			`"lei":"529900T8BM49AURSDO55"`, `"lei":""`, `"domain":"vault.example"`, `"domain":""`, `"protocol":"`+protocol+`",`, ``)
	}},
	"invalid_digest_order": {"digests rise strictly, by the bytes of their text (DESIGN 5)", func(s *scene) {
		r := passport(s, "a")
		r.Strands = decoys(2)
		slices.Sort(r.Strands)
		low, high := string(r.Strands[0]), string(r.Strands[1])
		s.edits(r, "rise strictly", `{"...":"`+low+`"},{"...":"`+high+`"}`, `{"...":"`+high+`"},{"...":"`+low+`"}`)
	}},
	"invalid_organisation": {"what an organisation says of itself has its form (DESIGN 5)", func(s *scene) {
		s.records(func() *Record { return organisation(s, "a", "Vault") }, map[string]func(*Record){
			"record.lei: wrong check digits":     func(r *Record) { r.LEI = "529900T8BM49AURSDO56" },
			"record.lei: transposed":             func(r *Record) { r.LEI = "529900T8MB49AURSDO55" },
			"record.lei: lower case":             func(r *Record) { r.LEI = strings.ToLower(r.LEI) },
			"record.lei: short":                  func(r *Record) { r.LEI = r.LEI[:19] },
			"record.name: empty":                 func(r *Record) { r.Name = "" },
			"record.name: long":                  func(r *Record) { r.Name = strings.Repeat("é", 101) },
			"record.name: outer space":           func(r *Record) { r.Name = "Vault " },
			"record.name: line end":              func(r *Record) { r.Name = "Vault\nBank" },
			"record.name: bidirectional":         func(r *Record) { r.Name = "Vault\u202eknaB" },
			"record.domain: capital":             func(r *Record) { r.Domain = "Vault.example" },
			"record.domain: one label":           func(r *Record) { r.Domain = "localhost" },
			"record.domain: address":             func(r *Record) { r.Domain = "127.0.0.1" },
			"record.domain: URL":                 func(r *Record) { r.Domain = "https://vault.example" },
			"record.domain: trailing dot":        func(r *Record) { r.Domain = "vault.example." },
			"record.domain: hyphen first":        func(r *Record) { r.Domain = "-vault.example" },
			"record.domain: long":                func(r *Record) { r.Domain = strings.Repeat("a.", 126) + "ab" },
			"record.jurisdiction: capital":       func(r *Record) { r.Jurisdiction = "FR" },
			"record.roles: empty":                func(r *Record) { r.Roles = []Role{} },
			"record.roles: twice":                func(r *Record) { r.Roles = []Role{RoleProvider, RoleProvider} },
			"record.roles[0]: unknown":           func(r *Record) { r.Roles = []Role{"registrar"} },
			"record.endpoints: missing":          func(r *Record) { r.Endpoints = nil },
			"record.endpoints: of no provider":   func(r *Record) { r.Roles = []Role{RoleRecipient} },
			"record.endpoints[1]: twice":         func(r *Record) { r.Endpoints = append(r.Endpoints, r.Endpoints[0]) },
			"record.endpoints[0].protocol: name": func(r *Record) { r.Endpoints[0].Protocol = "vault" },
			"record.endpoints has 9: too many": func(r *Record) {
				for i := range 8 {
					r.Endpoints = append(r.Endpoints, Endpoint{protocol, fmt.Sprintf("https://%d.vault.example/", i)})
				}
			},
			"record.keys[0].use: of others":     func(r *Record) { r.Keys[0].Use = []Use{UseGrant} },
			"record.uses: of no recipient":      func(r *Record) { r.Uses = []Purpose{{[]string{service}, []string{purchases}}} },
			"record.uses[0].purpose has 0: bad": func(r *Record) { uses(r, nil, purchases) },
			"record.uses[0].purpose[0]: bad":    func(r *Record) { uses(r, []string{"https://w3id.org/dpv#Fun"}, purchases) },
			"record.uses[0].purpose[1]: twice":  func(r *Record) { uses(r, []string{service, service}, purchases) },
			"record.uses[0].class: empty":       func(r *Record) { uses(r, []string{service}) },
			"record.uses[0].class[0]: bad":      func(r *Record) { uses(r, []string{service}, service) },
			"record.uses has 33: too many": func(r *Record) {
				uses(r, []string{service}, purchases)
				r.Uses = slices.Repeat(r.Uses, 33)
			},
		})
	}},
	"invalid_endpoint": {"endpoints are https, without userinfo, query or fragment, end in / and have one spelling (DESIGN 5)", func(s *scene) {
		for _, bad := range badEndpoints {
			r := organisation(s, "a", "Vault")
			r.Endpoints[0].URL = bad
			s.refuse(Invalid, "record.endpoints[0].url", "a", s.draft(Create, r))
		}
	}},
	"valid_endpoints": {"endpoints with a port, a path, an address (DESIGN 5)", func(s *scene) {
		for i := 0; i < len(goodEndpoints); i += 4 {
			r := organisation(s, "a", "Vault")
			r.Endpoints = nil
			for _, good := range goodEndpoints[i:min(i+4, len(goodEndpoints))] {
				r.Endpoints = append(r.Endpoints, Endpoint{protocol, good})
			}
			s.do("a", s.draft(Create, r))
		}
	}},
	"valid_organisations": {"what a role does not need is optional (DESIGN 5)", func(s *scene) {
		r := organisation(s, "a", "Cadastre de Paris — 登記 ")
		r.Name = strings.TrimSpace(r.Name)
		r.Roles, r.Endpoints, r.LEI, r.Domain, r.Keys = []Role{RoleAttestor}, nil, "", "", nil
		s.do("a", s.draft(Create, r))
		r = organisation(s, "a", "Vault")
		uses(r, []string{service}, purchases, biometric)
		s.do("a", s.draft(Create, r))
		r.Uses = nil
		s.do("a", s.draft(Update, r))
	}},
	"invalid_kind_change": {"kind never changes (DESIGN 5)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		s.refuse(Invalid, "record.kind", "a", s.draft(Update, organisation(s, "a b", "Vault")))
		theft := s.do("b", s.draft(Update, passport(s, "b")))
		s.refuse(Invalid, "record.kind", "a", s.undo(theft, organisation(s, "a b", "Vault")))
	}},
	"invalid_retired_changed": {"retired is never foretold, changed or taken away while the key is listed (DESIGN 7)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		r := passport(s, "a b")
		r.Keys[0].Retired = new(s.now.Unix())
		s.do("a", s.draft(Update, r))
		for _, retired := range []*int64{nil, new(s.now.Unix()), new(int64(0)), new(s.now.Unix() + 3600)} {
			r := passport(s, "a b")
			r.Keys[0].Retired = retired
			s.refuse(Invalid, "record.keys[0].retired", "a", s.draft(Update, r))
			r.Keys[0].ID = "another-name" // the key is what is retired, not its id
			s.refuse(Invalid, "record.keys[0].retired", "a", s.draft(Update, r))
		}
	}},
	"valid_retired": {"a key is retired, stays so, and may leave the list (DESIGN 7)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		r := passport(s, "a")
		r.Keys[0].Retired = new(s.now.Unix())
		s.do("a", s.draft(Update, r))
		s.do("a", s.draft(Update, r))
		s.do("a", s.draft(Update, &Record{Kind: Passport, Rotation: r.Rotation}))
	}},
	"valid_retirement_undone": {"what a thief retired, a recover lists again: the undone record never stood (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		r := passport(s, "a b")
		r.Keys[0].Retired = new(s.now.Unix())
		theft := s.do("b", s.draft(Update, r))
		s.do("a", s.undo(theft, passport(s, "a b")))
	}},
}

func uses(r *Record, purposes []string, classes ...string) {
	r.Roles = append(r.Roles, RoleRecipient)
	r.Uses = []Purpose{{Purpose: purposes, Class: classes}}
}

var badEndpoints = []string{
	"http://vault.example/", "https://vault.example", "https://vault.example/x", "https://user@vault.example/", "https://u:p@vault.example/", "https://@vault.example/",
	"https://vault.example/?", "https://vault.example/?a=b/", "https://vault.example/#", "https://vault.example/#x/", "HTTPS://vault.example/", "https://Vault.example/",
	"//vault.example/", "vault.example/", "https:///", "https:/vault.example/", "https:vault.example/", "https://:443/", "https://vault.example:443/", "https://vault.example:/",
	"https://vault.example:0443/", "https://vault.example:0/", "https://vault.example:65536/", "https://vault.example:x/", "https://vault.example./", "https://.vault.example/",
	"https://vault..example/", "https://vault_1.example/", "https://-vault.example/", "https://vault.example/../", "https://vault.example/a/./", "https://vault.example/%2e%2e/",
	"https://vault.example/a%2Fb/", "https://vault.example/a%5cb/", "https://vault.example/%252e/", "https://vault.example/x%2F", "https://vault.example/\\", "https://vault.example\\@evil.example/",
	"https://vault.example/a b/", "https://vault.example/é/", "https://bücher.example/", "https://b%C3%BCcher.example/", "https://vault.example//", "https://vault.example//a/", "https://vault.example/%00/",
	"https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://127.0.0.01/", "https://[::1/", "https://[::1%25eth0]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::1]x/", "https://::1/",
	"https://vault.example\t/", "https://vault.example/\n", " https://vault.example/", "", "/", "javascript:alert(1)/", "https://vault.example/<x>/", `https://vault.example/"/`,
	"https://" + strings.Repeat("a", 64) + ".example/", "https://vault.example/" + strings.Repeat("a", MaxURL) + "/", "https://" + strings.Repeat("a.", 130) + "example/",
}

var goodEndpoints = []string{
	"https://vault.example/", "https://localhost:8443/", "https://127.0.0.1/", "https://[::1]:9443/", "https://vault.example/v1/", "https://vault.example/a/b/c/",
	"https://xn--bcher-kva.example/", "https://vault.example/caf%C3%A9/", "https://1.vault.example/~x/", "https://vault.example:444/", "https://0x7f.example/", "https://a/",
}

// strands expects a create with each strand, changed from a good one, to be invalid and to name the place.
func (s *scene) strands(changes map[string]func(*Strand)) {
	s.Helper()
	for what, change := range sorted(changes) {
		st := strand("x", Public)
		change(&st)
		d := disclosure(s, st)
		says, _, _ := strings.Cut(what, ":")
		s.refuse(Invalid, says, "a", s.draft(Create, passport(s, "a", d)), d)
	}
}

var strandScenarios = map[string]scenario{
	"invalid_strand_path": {"a path has 1 to 4 segments, never . or .. (DESIGN 5)", func(s *scene) {
		changes := make(map[string]func(*Strand))
		for _, bad := range []string{
			"", "/", ".", "..", "../x", "a/..", "a/../b", "a/./b", "/a", "a/", "a//b", "a/b/c/d/e", "a b", "é", "a?b", "a#b", "a%2e", "%2e%2e", "a\\b", "a\n", "a:b", "@", strings.Repeat("a", 65),
		} {
			changes["strand.path: "+bad] = func(st *Strand) { st.Path = bad }
		}
		s.strands(changes)
	}},
	"valid_strand_paths": {"paths at their limits (DESIGN 5)", func(s *scene) {
		var ds []Disclosure
		for i, path := range []string{"a", "a/b/c/d", "...", "~._-", strings.Repeat("a", 64), "A-Z.0/..x"} {
			st := strand(fmt.Sprintf("s%d", i), Granted)
			st.Path = path
			ds = append(ds, disclosure(s, st))
		}
		s.do("a", s.draft(Create, passport(s, "a", ds...)), ds...)
	}},
	"invalid_strand": {"a strand's parts have their form; classes are terms of the bundled vocabulary (DESIGN 5)", func(s *scene) {
		s.strands(map[string]func(*Strand){
			"strand.id: empty":               func(st *Strand) { st.ID = "" },
			"strand.id: capital":             func(st *Strand) { st.ID = "X" },
			"strand.id: long":                func(st *Strand) { st.ID = strings.Repeat("x", 33) },
			"strand.provider: none":          func(st *Strand) { st.Provider = "" },
			"strand.provider: capital":       func(st *Strand) { st.Provider = ID(strings.ToUpper(string(st.Provider))) },
			"strand.visibility: none":        func(st *Strand) { st.Visibility = "" },
			"strand.visibility: unknown":     func(st *Strand) { st.Visibility = "private" },
			"strand.class: none":             func(st *Strand) { st.Class = nil },
			"strand.class[0]: unknown":       func(st *Strand) { st.Class = []string{"https://w3id.org/dpv/pd#Nothing"} },
			"strand.class[0]: a purpose":     func(st *Strand) { st.Class = []string{service} },
			"strand.class[0]: a label":       func(st *Strand) { st.Class = []string{"Purchases"} },
			"strand.class[0]: capitals":      func(st *Strand) { st.Class = []string{strings.ToUpper(purchases)} },
			"strand.class[1]: twice":         func(st *Strand) { st.Class = []string{purchases, purchases} },
			"strand.class has 17: too many":  func(st *Strand) { st.Class = slices.Repeat(st.Class, 17) },
			"strand.tags[0]: empty":          func(st *Strand) { st.Tags = []string{""} },
			"strand.tags[0]: capital":        func(st *Strand) { st.Tags = []string{"Flyer"} },
			"strand.tags[0]: long":           func(st *Strand) { st.Tags = []string{strings.Repeat("x", 33)} },
			"strand.tags[1]: twice":          func(st *Strand) { st.Tags = []string{"x", "x"} },
			"strand.tags has 17: too many":   func(st *Strand) { st.Tags = strings.Split("abcdefghijklmnopq", "") },
			"strand.class: special":          func(st *Strand) { st.Class = []string{biometric} },
			"strand.class: one special":      func(st *Strand) { st.Class = []string{purchases, biometric} },
			"also that of a key: key's id":   func(st *Strand) { st.ID = "grant-1" },
			"strand.provider: another form":  func(st *Strand) { st.Provider = "did:web:vault.example" },
			"strand.visibility: capital":     func(st *Strand) { st.Visibility = "Public" },
			"strand.provider: line end":      func(st *Strand) { st.Provider += "\n" },
			"strand.class[0]: outer space":   func(st *Strand) { st.Class = []string{purchases + " "} },
			"strand.tags[0]: space":          func(st *Strand) { st.Tags = []string{"a b"} },
			"strand.tags[0]: not ASCII":      func(st *Strand) { st.Tags = []string{"é"} },
			"strand.class[0]: empty":         func(st *Strand) { st.Class = []string{""} },
			"strand.class[0]: without https": func(st *Strand) { st.Class = []string{strings.Replace(purchases, "https", "http", 1)} },
		})
	}},
	"valid_granted_special": {"a granted strand may hold a special category, and need not name a class (DESIGN 5)", func(s *scene) {
		special, bare := strand("special", Granted), strand("bare", Granted)
		special.Class, bare.Class = []string{biometric}, nil
		ds := []Disclosure{disclosure(s, special), disclosure(s, bare)}
		s.do("a", s.draft(Create, passport(s, "a", ds...)), ds...)
	}},
	"invalid_disclosure": {"a disclosure is [salt, strand], its salt 16 bytes (DESIGN 5)", func(s *scene) {
		value := string(must(encodeJSON(strand("x", Public)))(s))
		for _, bad := range []string{
			`["AAAAAAAAAAAAAAAAAAAAA",` + value + `]`, `["AAAAAAAAAAAAAAAAAAAAAAA",` + value + `]`, `["AAAAAAAAAAAAAAAAAAAAAB",` + value + `]`, `["",` + value + `]`, `[16,` + value + `]`,
			`[` + value + `]`, `["AAAAAAAAAAAAAAAAAAAAAA","x",` + value + `]`, `["AAAAAAAAAAAAAAAAAAAAAA",[` + value + `]]`, `["AAAAAAAAAAAAAAAAAAAAAA","x"]`, `["AAAAAAAAAAAAAAAAAAAAAA",` + value + `,null]`,
			value, `"x"`, `[]`, `{}`, ``, `["AAAAAAAAAAAAAAAAAAAAAA",` + value, `["AAAAAAAAAAAAAAAAAAAAAA",` + value + `] []`,
		} {
			d := disclosureText(s, []byte(bad))
			s.refuse(Invalid, "", "a", s.draft(Create, passport(s, "a", d)), d)
		}
	}},
	"invalid_disclosure_of_another": {"a disclosure matches a digest of its own operation (DESIGN 5)", func(s *scene) {
		mine, other := disclosure(s, strand("mine", Public)), disclosure(s, strand("other", Public))
		s.refuse(Invalid, "not in record.strands", "a", s.draft(Create, passport(s, "a", mine)), other)
		s.refuse(Invalid, "", "a", s.draft(Create, passport(s, "a", mine)), mine, mine)
		s.refuse(Invalid, "", "a", s.draft(Create, passport(s, "a", mine)), mine, other)
		s.refuse(Invalid, "disclosures", "a", s.draft(Create, organisation(s, "a", "Vault")), mine)
		s.do("a", s.draft(Create, passport(s, "a", mine)), mine)
		s.refuse(Invalid, "not in record.strands", "a", s.draft(Update, passport(s, "a", other)), mine)
		s.refuse(Invalid, "disclosures", "a", s.draft(Deactivate, nil), mine)
	}},
	"invalid_strand_id_held": {"strand ids are unique also among held disclosures that are not sent again (DESIGN 5)", func(s *scene) {
		first, second := disclosure(s, strand("x", Public)), strand("x", Granted)
		second.Path = "elsewhere"
		other := disclosure(s, second)
		s.do("a", s.draft(Create, passport(s, "a", first)), first)
		s.refuse(Invalid, "also that of a key or another strand", "a", s.draft(Update, passport(s, "a", first, other)), other)
		named := passport(s, "a", first)
		named.Keys[0].ID = "x"
		s.refuse(Invalid, "also that of a key or another strand", "a", s.draft(Update, named))
		s.refuse(Invalid, "also that of a key or another strand", "a", s.draft(Create, passport(s, "a", first, other)), first, other)
		s.do("a", s.draft(Update, passport(s, "a", other)), other) // in its place it may come
	}},
	"valid_disclosures": {"a held disclosure need not be sent again; it goes when no record in force or within reach of a recover refers to it (DESIGN 5)", func(s *scene) {
		x, y := disclosure(s, strand("x", Public)), disclosure(s, strand("y", Granted))
		r := passport(s, "a b", x, y)
		r.Strands = append(r.Strands, decoys(6)...)
		s.do("a", s.draft(Create, r), x) // y is kept from the registry
		s.holds(x)
		s.do("a", s.draft(Update, r), y) // now it is not
		s.holds(x, y)
		out := s.now
		s.do("b", s.draft(Update, passport(s, "a b", y)))
		s.holds(x, y) // x left the record, but a could bring it back
		s.do("b", s.draft(Update, passport(s, "a b")))
		s.holds(x, y)
		s.now = out.Add(window)
		s.do("b", s.draft(Update, passport(s, "a b")))
		s.holds(x, y) // exactly 72 h is still inside
		s.now = out.Add(window) + 1
		s.do("b", s.draft(Update, passport(s, "a b", y))) // held, so not sent again
		s.holds(y)
		s.wait(window)
		s.do("b", s.draft(Update, passport(s, "a b", y, x))) // x's digest is but a decoy now
		s.holds(y)
		s.do("b", s.draft(Update, passport(s, "a b", x)), x)
		s.holds(x, y)
		s.do("b", s.draft(Deactivate, nil))
		s.holds(x, y)
	}},
	"valid_disclosures_dropped_at_once": {"what the strongest key takes out nobody can bring back: its disclosure goes at once (DESIGN 5)", func(s *scene) {
		x, y := disclosure(s, strand("x", Public)), disclosure(s, strand("y", Granted))
		s.do("a", s.draft(Create, passport(s, "a b", x, y)), x, y)
		s.do("a", s.draft(Update, passport(s, "a b", y)))
		s.holds(y)
		s.do("b", s.draft(Update, passport(s, "a b")))
		s.holds(y)
		s.do("a", s.draft(Update, passport(s, "a b"))) // on top of b: now a cannot undo b either
		s.holds()
	}},
	"valid_disclosures_expire": {"an operation long after finds nothing held of what left the record before (DESIGN 5)", func(s *scene) {
		x, other := disclosure(s, strand("x", Public)), strand("x", Granted)
		other.Path = "elsewhere"
		d := disclosure(s, other)
		s.do("a", s.draft(Create, passport(s, "a b", x)), x)
		s.do("b", s.draft(Update, passport(s, "a b")))
		s.wait(window)
		s.do("b", s.draft(Update, passport(s, "a b", x, d)), d) // x's id is free again, its digest a decoy
		s.holds(d)
	}},
	"valid_disclosures_undone": {"what only an undone record refers to is dropped (DESIGN 5)", func(s *scene) {
		x, y := disclosure(s, strand("x", Public)), disclosure(s, strand("y", Granted))
		s.do("a", s.draft(Create, passport(s, "a b", x)), x)
		theft := s.do("b", s.draft(Update, passport(s, "b", y)), y)
		s.holds(x, y)
		s.do("a", s.undo(theft, passport(s, "a b", x))) // x need not be sent again
		s.holds(x)
		s.do("a", s.draft(Deactivate, nil))
		s.wait(window)
		s.do("a", s.draft(Erase, nil))
		s.holds()
	}},
	"valid_unknown_provider": {"an operation is valid whatever its provider's state (DESIGN 6)", func(s *scene) {
		d := disclosure(s, strand("x", Public))
		s.do("a", s.draft(Create, passport(s, "a", d)), d)
	}},
}
