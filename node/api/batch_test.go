package api

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// ndjson decodes the lines of a body.
func ndjson[T any](t testing.TB, body []byte) []T {
	t.Helper()
	if len(body) > 0 && body[len(body)-1] != '\n' {
		t.Fatalf("the last line does not end: %.200s", body)
	}
	var list []T
	for line := range bytes.Lines(body) {
		var v T
		decode(t, bytes.TrimSuffix(line, []byte("\n")), &v)
		list = append(list, v)
	}
	return list
}

func TestResolveBatch(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	var known []registry.ID
	for range 5 {
		p, _ := f.passport()
		known = append(known, p.id)
	}
	gone, _ := f.passport()
	gone.deactivate()
	foreign := "did:dcann:de:" + string(known[0][13:])
	unknown := string(known[0][:17]) + strings.Repeat("a", 52)
	var ids []string
	for i := range 1000 {
		ids = append(ids, string(known[i%5]))
		switch i % 100 {
		case 10:
			ids = append(ids, "hello\n\"")
		case 20:
			ids = append(ids, foreign)
		case 30:
			ids = append(ids, unknown)
		case 40:
			ids = append(ids, string(gone.id))
		case 50:
			ids = append(ids, strings.Repeat("x", 300))
		}
	}
	body, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	a := f.post(wire.PathResolve, wire.TypeJSON, body).want(t, http.StatusOK)
	if a.Header.Get("Content-Type") != wire.TypeNDJSON || a.Header.Get("Dcann-Index") == "" {
		t.Errorf("headers: %v", a.Header)
	}
	got := ndjson[wire.ResolveLine](t, a.body)
	if len(got) != len(ids) {
		t.Fatalf("%d lines for %d identifiers", len(got), len(ids))
	}
	for i, line := range got {
		want := 200
		switch {
		case len(ids[i]) != 69:
			want = 400
		case ids[i] == foreign:
			want = 421
		case ids[i] == unknown:
			want = 404
		}
		if line.Status != want || !strings.HasPrefix(ids[i], line.ID) || (line.Record != nil) != (want == 200) || (line.Problem != nil) != (want != 200) {
			t.Fatalf("line %d for %q: %+v, expected %d", i, ids[i], line, want)
		}
		if want == 421 && line.Problem.Country != "de" {
			t.Errorf("foreign: %+v", line.Problem)
		}
		if ids[i] == string(gone.id) && (line.Record.Status != registry.Deactivated || line.Record.Record != nil) {
			t.Errorf("a tombstone: %+v", line.Record)
		}
		if want == 200 && line.Record.ID != registry.ID(ids[i]) {
			t.Fatalf("line %d is of %s, expected %s", i, line.Record.ID, ids[i])
		}
	}
	// The record is the same text as by itself.
	single := f.get(wire.RecordPath(known[0])).want(t, 200)
	if first, _, _ := bytes.Cut(a.body, []byte("\n")); string(first) != `{"id":"`+string(known[0])+`","status":200,"record":`+string(single.body)+`}` {
		t.Errorf("the first line is %s", first)
	}

	if a := f.post(wire.PathResolve, wire.TypeJSON, []byte(`[]`)).want(t, 200); len(a.body) != 0 {
		t.Errorf("nothing: %q", a.body)
	}
	f.post(wire.PathResolve, wire.TypeJSON, []byte(`{}`)).problem(t, registry.Invalid)
	f.post(wire.PathResolve, wire.TypeJSON, nil).problem(t, registry.Invalid)
	f.post(wire.PathResolve, "text/plain", []byte(`[]`)).want(t, http.StatusUnsupportedMediaType)
	f.post(wire.PathResolve, wire.TypeJSON, []byte("["+strings.Repeat(`"a",`, 10000)+`"a"]`)).problem(t, registry.TooLarge)
	f.post(wire.PathResolve, wire.TypeJSON, bytes.Repeat([]byte(" "), wire.MaxResolveBytes+1)).problem(t, registry.TooLarge)
	f.post(wire.PathResolve+"?consistency=linearizable", wire.TypeJSON, []byte(`["`+string(known[0])+`"]`)).want(t, 200)
	f.post(wire.PathResolve+"?x=1", wire.TypeJSON, []byte(`[]`)).problem(t, registry.Invalid)
}

// TestOperationBatch: results come in order, lines of one identifier build on each other, and one that
// fails takes those that follow with it, and no others.
func TestOperationBatch(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	const width = 40
	parties := make([]*party, width)
	for i := range parties {
		k, k2 := newKey(t), newKey(t)
		parties[i] = &party{f: f, rotation: []jws.PrivateKey{k, k2}}
		parties[i].record = registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{k.Public().Multikey(), k2.Public().Multikey()}, Strands: registry.PadStrands(nil)}
	}
	var (
		body  bytes.Buffer
		owner []int
		names []registry.OpID
		want  []int
	)
	add := func(i int, status int, op *registry.Operation) {
		line, err := json.Marshal(string(op.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		body.Write(append(line, '\n'))
		owner, names, want = append(owner, i), append(names, op.Name), append(want, status)
	}
	next := func(i int, change func(*registry.Content)) *registry.Operation {
		p := parties[i]
		op := p.sign(change)
		p.id, p.head, p.seq = op.ID, op.Name, op.Seq
		return op
	}
	for round := range 4 {
		for i := range parties {
			switch {
			case i%10 == 3 && round == 2: // the third of five fails
				add(i, 400, next(i, func(c *registry.Content) { c.Seq = 99 }))
			case i%10 == 3 && round > 2:
				add(i, 409, next(i, func(c *registry.Content) { c.Seq = 3 }))
			default:
				add(i, 201, next(i, nil))
			}
		}
		if round == 1 { // lines that belong to nobody fail alone
			body.WriteString("\"hello\"\nhello\n\n{}\r\n")
			want = append(want, 400, 400, 400)
			owner, names = append(owner, -1, -1, -1), append(names, "", "", "")
		}
	}
	text := bytes.TrimSuffix(body.Bytes(), []byte("\n")) // the last line need not end
	a := f.post(wire.PathBatch, wire.TypeNDJSON, text).want(t, http.StatusOK)
	got := ndjson[wire.BatchLine](t, a.body)
	if len(got) != len(want) {
		t.Fatalf("%d results for %d lines", len(got), len(want))
	}
	for i, line := range got {
		if line.Status != want[i] || (line.Problem != nil) != (want[i] >= 400) || (line.Position != nil) != (want[i] < 400) || (line.Index != nil) != (want[i] < 400) || line.Op != names[i] {
			t.Errorf("line %d: %+v %+v, expected %d of %s", i, line, line.Problem, want[i], names[i])
		}
		if line.Problem != nil && line.Problem.Type == wire.ProblemBase+"conflict" && owner[i]%10 != 3 {
			t.Errorf("line %d of party %d fails for another's fault", i, owner[i])
		}
	}
	// Once more: what was accepted is known.
	again := ndjson[wire.BatchLine](t, f.post(wire.PathBatch, wire.TypeNDJSON, text).want(t, 200).body)
	for i, line := range again {
		if want[i] == 201 && (line.Status != 200 || *line.Seq != *got[i].Seq || *line.Position != *got[i].Position) {
			t.Errorf("line %d again: %+v, expected as %+v", i, line, got[i])
		}
	}
}

func TestOperationBatchLimits(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	post := func(body []byte) answer { return f.post(wire.PathBatch, wire.TypeNDJSON, body) }
	if a := post(nil).want(t, 200); len(a.body) != 0 {
		t.Errorf("nothing: %q", a.body)
	}
	post([]byte(`"`+strings.Repeat("x", wire.MaxBatchLine)+`"`)).problem(t, registry.TooLarge)
	post(bytes.Repeat([]byte("1\n"), wire.MaxBatch+1)).problem(t, registry.TooLarge)
	if got := ndjson[wire.BatchLine](t, post(bytes.Repeat([]byte("1\n"), wire.MaxBatch)).want(t, 200).body); len(got) != wire.MaxBatch || got[0].Status != 400 {
		t.Errorf("%d results", len(got))
	}
	line := `"` + strings.Repeat("x", wire.MaxOperation+1) + "\"\n"
	if got := ndjson[wire.BatchLine](t, post([]byte(line)).want(t, 200).body); len(got) != 1 || got[0].Status != 413 {
		t.Errorf("an operation over its cap: %+v", got)
	}
	f.post(wire.PathBatch, wire.TypeJSON, nil).want(t, http.StatusUnsupportedMediaType)
	req, err := http.NewRequestWithContext(t.Context(), "POST", f.url+wire.PathBatch, &endless{unit: []byte(line)})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", wire.TypeNDJSON)
	if res, err := f.client.Do(req); err == nil { // else the connection was cut, which is as good
		defer res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body without end: %d", res.StatusCode)
		}
	}
}

// endless is a body that never ends.
type endless struct {
	unit []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.unit[e.at:])
	e.at = (e.at + n) % len(e.unit)
	return n, nil
}

func TestOrganisations(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	tag := rand.Text()
	var all []registry.ID
	for i := range 7 {
		org := f.organisation(fmt.Sprintf("%s Vault %d", tag, i), "https://v.example/")
		if i%2 == 0 {
			org.accredit(registry.OrgActive)
		}
		all = append(all, org.id)
	}
	list := func(q wire.OrganisationQuery) (ids []registry.ID) {
		for {
			var page wire.OrganisationPage
			decode(t, f.get(q.Path()).want(t, 200).body, &page)
			for _, r := range page.Organisations {
				ids = append(ids, r.ID)
				if r.Organisation == nil || len(r.Record) == 0 {
					t.Fatalf("an organisation without its parts: %+v", r)
				}
			}
			if page.Next == "" {
				slices.Sort(ids)
				return ids
			}
			q.After = page.Next
		}
	}
	slices.Sort(all)
	for name, c := range map[string]struct {
		q    wire.OrganisationQuery
		want int
	}{
		"all":             {wire.OrganisationQuery{}, 7},
		"in pages":        {wire.OrganisationQuery{Limit: 2}, 7},
		"by role":         {wire.OrganisationQuery{Role: registry.RoleProvider, Limit: 3}, 7},
		"by another role": {wire.OrganisationQuery{Role: registry.RoleAttestor}, 0},
		"by name":         {wire.OrganisationQuery{Name: strings.ToLower(tag)}, 7},
		"by whole name":   {wire.OrganisationQuery{Name: tag + " Vault 3"}, 1},
		"by status":       {wire.OrganisationQuery{Status: registry.OrgActive, Limit: 1}, 4},
		"by two":          {wire.OrganisationQuery{Status: registry.OrgPending, Name: tag + " Vault 1"}, 1},
		"by domain":       {wire.OrganisationQuery{Domain: "v.example"}, 0},
	} {
		if got := list(c.q); len(got) != c.want || c.want == 7 && !slices.Equal(got, all) {
			t.Errorf("%s: %d organisations, expected %d", name, len(got), c.want)
		}
	}
	for _, q := range []string{"role=king", "status=good", "name=", "limit=0", "limit=1001", "limit=x", "hello=1", "role=provider&role=provider", "%zz=1", "name=" + strings.Repeat("a", 201)} {
		f.get(wire.PathOrganisations+"?"+q).problem(t, registry.Invalid)
	}
}

func TestHistoryPages(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	provider := f.provider("https://v.example/")
	holder, _ := f.passport(provider)
	granted, err := registry.NewDisclosure(registry.Strand{ID: "secret", Provider: provider.id, Path: "g", Visibility: registry.Granted})
	if err != nil {
		t.Fatal(err)
	}
	holder.update(func(r *registry.Record) { r.Strands = registry.PadStrands([]registry.Digest{granted.Digest}) }, granted)
	for range 3 {
		holder.update(nil)
	}
	var seqs []uint64
	var after *uint64
	for {
		var h wire.History
		a := f.get(wire.HistoryPath(holder.id, after, 2)).want(t, 200)
		decode(t, a.body, &h)
		if strings.Contains(string(a.body), granted.Text) {
			t.Errorf("a granted strand is disclosed: %s", a.body)
		}
		for _, e := range h.Operations {
			seqs = append(seqs, e.Seq)
			op, err := registry.ParseOperation([]byte(e.Operation))
			if err != nil || op.Name != e.Op {
				t.Errorf("operation %d: %v", e.Seq, err)
			}
		}
		if after = h.Next; after == nil {
			break
		}
	}
	if !slices.Equal(seqs, []uint64{0, 1, 2, 3, 4}) {
		t.Errorf("pages give %v", seqs)
	}
	a := f.get(wire.RecordPath(holder.id)).want(t, 200)
	if strings.Contains(string(a.body), "secret") {
		t.Errorf("the record shows a granted strand: %s", a.body)
	}
	f.get(wire.RecordPath(holder.id)+"/operations?after=x").problem(t, registry.Invalid)
	f.get(wire.RecordPath(holder.id)+"/operations?limit=1001").problem(t, registry.Invalid)
	f.get(wire.RecordPath("hello")+"/operations").problem(t, registry.Invalid)
	f.get(wire.RecordPath("did:dcann:de:"+holder.id[13:])+"/operations").problem(t, registry.Misdirected)
	f.get(wire.RecordPath(holder.id[:17]+registry.ID(strings.Repeat("a", 52)))+"/operations").problem(t, registry.NotFound)
}
