package registry

import (
	"reflect"
	"slices"
	"testing"
)

// What a wallet signs is what a registry reads, for every act and every member.
func TestSignedContentComesBack(t *testing.T) {
	t.Parallel()
	x := disclosure(t, strand("x", Public))
	id, op := provider(), provider().Create()
	person := passport(t, "a p256-b", x)
	person.Keys = append(person.Keys, Key{ID: "old", Key: key(t, "old").multikey(), Use: []Use{UseAuth, UseGrant}, Retired: new(int64(0))})
	full := organisation(t, "a", `Vault "& Söhne" <AG>`)
	uses(full, []string{service}, purchases, biometric)
	bare := &Record{Kind: Organisation, Rotation: keys(t, "a"), Keys: []Key{}, Name: "Bare", Jurisdiction: "be", Roles: []Role{RoleAttestor}}
	for name, c := range map[string]Content{
		"create":              {Act: Create, Country: "fr", Iat: 1, Record: person},
		"create organisation": {Act: Create, Country: "fr", Iat: 1, Record: full},
		"create bare":         {Act: Create, Country: "fr", Iat: 1, Record: bare},
		"update":              {Act: Update, ID: id, Prev: op, Seq: 1, Iat: 1<<53 + 1, Record: person},
		"recover":             {Act: Recover, ID: id, Prev: op, Seq: 1<<64 - 1, Iat: 1, Undo: op, Record: person},
		"deactivate":          {Act: Deactivate, ID: id, Prev: op, Seq: 1, Iat: 1},
		"erase":               {Act: Erase, ID: id, Prev: op, Seq: 1, Iat: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ds []Disclosure
			if c.Record == person {
				ds = append(ds, x)
			}
			signed := must(c.Sign(key(t, "a"), ds...))(t)
			want := c
			if c.Act == Create {
				want.ID = NewID("fr", signed.Name)
			}
			read := must(ParseOperation(signed.Bytes()))(t)
			if !reflect.DeepEqual(read.Content, want) {
				t.Errorf("read %+v, signed %+v", read.Content, want)
			}
			if c.Record != nil && !reflect.DeepEqual(read.Record, c.Record) {
				t.Errorf("read %+v, signed %+v", read.Record, c.Record)
			}
			if !reflect.DeepEqual(read.Disclosures, ds) {
				t.Errorf("read %+v, sent %+v", read.Disclosures, ds)
			}
		})
	}
}

// Nothing that a registry would refuse for its form leaves Sign.
func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Content{
		"no act":             {Iat: 1},
		"transfer":           {Act: Transfer, ID: provider(), Prev: provider().Create(), Seq: 1, Iat: 1, Record: passport(t, "a")},
		"update of nothing":  {Act: Update, Seq: 1, Iat: 1, Record: passport(t, "a")},
		"no record":          {Act: Create, Country: "fr", Iat: 1},
		"no time":            {Act: Create, Country: "fr", Record: passport(t, "a")},
		"a record too large": {Act: Create, Country: "fr", Iat: 1, Record: &Record{Kind: Passport, Rotation: keys(t, "a"), Strands: decoys(65)}},
	} {
		_, err := c.Sign(key(t, "a"))
		t.Run(name, func(t *testing.T) { wantKind(t, err, Invalid) })
	}
	_, err := AcceptanceContent{Iss: provider(), Sub: provider(), Strand: decoys(1)[0], Iat: 1}.Sign(key(t, "a"), "sign-1")
	wantKind(t, err, Invalid)
}

func TestNewDisclosure(t *testing.T) {
	t.Parallel()
	s := strand("x", Granted)
	s.Tags = []string{"frequent-flyer"}
	one, other := must(NewDisclosure(s))(t), must(NewDisclosure(s))(t)
	if one.Text == other.Text || one.Digest == other.Digest || one.Subject(provider()) == other.Subject(provider()) {
		t.Error("two disclosures of a strand are equal: the salt hides nothing")
	}
	if read := must(ParseDisclosure(one.Text))(t); !reflect.DeepEqual(read, one) {
		t.Errorf("read %+v, made %+v", read, one)
	}
	s.Path = ".."
	_, err := NewDisclosure(s)
	wantKind(t, err, Invalid)
}

func TestPadStrands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 8, 1: 8, 8: 8, 9: 16, 16: 16, 17: 32, 33: 64, 64: 64} {
		real := decoys(n)
		padded := PadStrands(real)
		r := passport(t, "a")
		r.Strands = padded
		if len(padded) != want || r.check() != nil {
			t.Errorf("%d padded to %d (%v): expected %d", n, len(padded), r.check(), want)
		}
		for _, d := range real {
			if !reflect.DeepEqual(r.form().Strands, digestList(padded)) || !slices.Contains(padded, d) {
				t.Fatalf("%s was lost", d)
			}
		}
	}
}
