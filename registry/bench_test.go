package registry

import "testing"

// usual is a create as a wallet makes it: 2 rotation keys, 1 grant key, 8 digests, 1 disclosure.
func usual(tb testing.TB, rotation string) []byte {
	tb.Helper()
	st := strand("purchases", Public)
	st.Tags = []string{"frequent-flyer"}
	d := disclosure(tb, st)
	r := passport(tb, rotation, d)
	r.Strands = append(r.Strands, decoys(7)...)
	k := key(tb, rotation[:len(rotation)/2])
	content := Content{Act: Create, Country: "fr", Iat: start.Unix(), Record: r}
	return must(content.Sign(k, d))(tb).Bytes()
}

func BenchmarkParseOperation(b *testing.B) {
	for name, rotation := range sorted(map[string]string{"Ed25519": "a b", "P-256": "p256-a p256-b"}) {
		b.Run(name, func(b *testing.B) {
			raw := usual(b, rotation)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseOperation(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReplayOperation(b *testing.B) {
	raw := usual(b, "a b")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReplayOperation(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseStored(b *testing.B) {
	header, payload, sig := must(ReplayOperation(usual(b, "a b")))(b).Message().Parts()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseStored(header, payload, sig); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	p := policy(b, "fr")
	create := must(ParseOperation(usual(b, "a b")))(b)
	held := func(d Digest) (Disclosure, bool) {
		for _, h := range create.Disclosures {
			if h.Digest == d {
				return h, true
			}
		}
		return Disclosure{}, false
	}
	env := Env{Now: start, Policy: p, Held: held, RecordAt: func(uint64) (*Record, error) { return create.Record, nil }}
	v := must((*Lineage)(nil).Check(create, env))(b)
	l := v.Next()
	content := Content{Act: Update, ID: create.ID, Prev: l.Head, Seq: 1, Iat: start.Unix(), Record: create.Record}
	op := must(content.Sign(key(b, "b")))(b)
	env.InForce = create.Record
	b.Run("create", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (*Lineage)(nil).Check(create, env); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.Check(op, env); err != nil {
				b.Fatal(err)
			}
		}
	})
	content = Content{Act: Recover, ID: create.ID, Prev: op.Name, Seq: 2, Undo: op.Name, Iat: start.Unix(), Record: create.Record}
	recover := must(content.Sign(key(b, "a")))(b)
	v = must(l.Check(op, env))(b)
	after := v.Next()
	b.Run("recover", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := after.Check(recover, env); err != nil {
				b.Fatal(err)
			}
		}
	})
}
