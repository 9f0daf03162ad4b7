package registry

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var update = flag.Bool("update", false, "write testdata/histories anew")

// history is a file of testdata/histories: one rule, proved by complete signed texts. The files whose
// name begins with valid hold no error.
type history struct {
	Rule   string `json:"rule"`
	Policy string `json:"policy"` // in force from the beginning, signed
	Steps  []step `json:"steps"`
	End    []end  `json:"end,omitempty"` // how the records stand after the last step
}

// step is one text submitted, an operation, a status or an acceptance, and what must come of it.
type step struct {
	Time       Millis `json:"time"` // registry time, ms since 1970
	Operation  string `json:"operation,omitempty"`
	Status     string `json:"status,omitempty"`
	Acceptance string `json:"acceptance,omitempty"`

	Known      bool    `json:"known,omitempty"` // must give the first result and change nothing
	Error      Kind    `json:"error,omitempty"` // must be refused with this kind, and change nothing
	Head       OpID    `json:"head,omitempty"`  // with conflict
	Country    Country `json:"country,omitempty"`
	RetryAfter int64   `json:"retryAfterMillis,omitempty"`
	Says       string  `json:"says,omitempty"` // a part of this implementation's message; others say it otherwise
}

// end is how a record stands.
type end struct {
	ID         ID        `json:"id"`
	Status     Status    `json:"status"`
	Head       OpID      `json:"head"`
	Seq        uint64    `json:"seq"`
	Version    uint64    `json:"version"` // seq of the operation whose record is in force
	Undone     []uint64  `json:"undone,omitempty"`
	FinalAt    Millis    `json:"finalAt,omitempty"`
	Held       []Digest  `json:"held,omitempty"`
	Standing   OrgStatus `json:"standing,omitempty"` // of organisations
	Epoch      uint64    `json:"epoch,omitempty"`
	Accepted   []Digest  `json:"accepted,omitempty"`
	Retired    []string  `json:"retired,omitempty"`
	Withdrawn  []Digest  `json:"withdrawn,omitempty"`
	Operations int       `json:"operations"` // held, undone ones too
}

func endOf(h *History, id ID) end {
	l := h.Lineage(id)
	e := end{ID: id, Status: l.Status, Head: l.Head, Seq: l.Seq, Version: l.RecordSeq}
	e.FinalAt, _ = l.FinalAt(h.policy.Window())
	for i, a := range h.Operations(id) {
		if a.Undone {
			e.Undone = append(e.Undone, uint64(i))
		}
		e.Operations++
	}
	for _, d := range h.Held(id) {
		e.Held = append(e.Held, d.Digest)
		switch a := h.Acceptance(id, d.Digest); {
		case a == nil:
		case a.Accepted:
			e.Accepted = append(e.Accepted, d.Digest)
		default:
			e.Withdrawn = append(e.Withdrawn, d.Digest)
		}
	}
	if l.Kind == Organisation {
		a, standing := h.Accreditation(id)
		e.Standing, e.Epoch = standing, a.Epoch
	}
	if r := h.InForce(id); r != nil {
		for _, k := range r.Keys {
			if k.Retired != nil {
				e.Retired = append(e.Retired, k.ID)
			}
		}
	}
	return e
}

func (st step) submitOperation(h *History) (*Operation, Outcome, error) {
	op, err := ParseOperation([]byte(st.Operation))
	if err != nil {
		return nil, Outcome{}, err
	}
	o, err := h.Submit(op, st.Time)
	return op, o, err
}

func (st step) submitStatement(h *History) (Outcome, error) {
	if st.Status != "" {
		s, err := ParseStatus([]byte(st.Status))
		if err != nil {
			return Outcome{}, err
		}
		return h.SubmitStatus(s, st.Time)
	}
	a, err := ParseAcceptance([]byte(st.Acceptance))
	if err != nil {
		return Outcome{}, err
	}
	return h.SubmitAcceptance(a, st.Time)
}

// compare fails unless what came of the step is what it says.
func (st step) compare(t testing.TB, o Outcome, err error) {
	t.Helper()
	if st.Error == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		} else if o.Known != st.Known {
			t.Errorf("known %v: expected %v", o.Known, st.Known)
		}
		return
	}
	wantKind(t, err, st.Error)
	if err == nil {
		return
	}
	if !strings.Contains(err.Error(), st.Says) {
		t.Errorf("message %q: expected to say %q", err, st.Says)
	}
	var e *Error
	if errors.As(err, &e) && (e.Head != st.Head || e.Country != st.Country || e.RetryAfter != time.Duration(st.RetryAfter)*time.Millisecond) {
		t.Errorf("head %s, country %s, retry after %v: expected %s, %s, %d ms", e.Head, e.Country, e.RetryAfter, st.Head, st.Country, st.RetryAfter)
	}
	if (st.Error == Conflict) != (st.Head != "") || (st.Error == Misdirected) != (st.Country != "") || (st.Error == Quota) != (st.RetryAfter > 0) {
		t.Errorf("%s: head %q, country %q, retry after %d ms", st.Error, st.Head, st.Country, st.RetryAfter)
	}
}

// TestHistories makes every history anew and compares it with its file, and plays the file.
func TestHistories(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("testdata", "histories")
	files := must(filepath.Glob(filepath.Join(dir, "*.json")))(t)
	made := make(map[string]bool)
	for name, play := range scenarios() {
		path := filepath.Join(dir, name+".json")
		made[path] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.file.Rule = play.rule
			play.run(s)
			for _, id := range s.ids {
				s.file.End = append(s.file.End, endOf(s.h, id))
			}
			text := must(json.Marshal(s.file, jsontext.WithIndent("  "), jsontext.EscapeForHTML(false)))(t)
			text = append(text, '\n')
			if *update && !t.Failed() {
				check(t, os.MkdirAll(dir, 0o755))
				check(t, os.WriteFile(path, text, 0o644))
			}
			old, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(old, text) {
				t.Errorf("%s differs from what the scenario makes (%v): run with -update and look at the difference", path, err)
			}
			playFile(t, name, old)
		})
	}
	for _, f := range files {
		if !made[f] {
			t.Errorf("%s is made by no scenario", f)
		}
	}
}

// playFile plays a history as another implementation would, from nothing but its file.
func playFile(t *testing.T, name string, text []byte) {
	var f history
	check(t, json.Unmarshal(text, &f, json.RejectUnknownMembers(true)))
	h := NewHistory(must(ParsePolicy([]byte(f.Policy), nil))(t))
	refused := 0
	for i, st := range f.Steps {
		before := snapshot(h)
		var o Outcome
		var err error
		if st.Operation != "" {
			var op *Operation
			op, o, err = st.submitOperation(h)
			if op != nil {
				sameAgain(t, op, []byte(st.Operation))
			}
		} else {
			o, err = st.submitStatement(h)
		}
		if st.compare(t, o, err); t.Failed() {
			t.Fatalf("step %d", i)
		}
		if st.Error != "" {
			refused++
		}
		if changed := !reflect.DeepEqual(before, snapshot(h)); changed == (st.Error != "" || st.Known) {
			t.Fatalf("step %d: state changed %v", i, changed)
		}
	}
	if strings.HasPrefix(name, "valid_") != (refused == 0) || strings.HasPrefix(name, "invalid_") != (refused > 0) {
		t.Errorf("%d refusals in %s", refused, name)
	}
	for _, want := range f.End {
		if got := endOf(h, want.ID); !reflect.DeepEqual(got, want) {
			t.Errorf("ends as %+v: expected %+v", got, want)
		}
	}
}

// snapshot is all that a history remembers, as values that do not change with it.
func snapshot(h *History) map[ID]any {
	m := make(map[ID]any)
	for id, c := range h.records {
		a, _ := h.Accreditation(id)
		acceptances := make(map[Digest]AcceptanceState)
		for d, s := range c.acceptances {
			acceptances[d] = *s
		}
		m[id] = []any{c.lineage, h.Operations(id), h.Held(id), a, acceptances, len(c.known)}
	}
	return m
}

// sameAgain checks that an operation is the same however it is read: from its own bytes, by replay, and
// from the parts that are stored.
func sameAgain(t testing.TB, op *Operation, raw []byte) {
	t.Helper()
	if !bytes.Equal(op.Bytes(), raw) {
		t.Fatalf("read %q, writes %q", raw, op.Bytes())
	}
	replayed := must(ReplayOperation(raw))(t)
	stored := must(ParseStored(op.Message().Parts()))(t)
	for _, o := range []*Operation{replayed, stored} {
		if !reflect.DeepEqual(o.Content, op.Content) || o.Name != op.Name || o.Signer != op.Signer || !bytes.Equal(o.RecordJSON(), op.RecordJSON()) {
			t.Fatalf("parsed as %+v, again as %+v", op, o)
		}
	}
	if !reflect.DeepEqual(replayed.Disclosures, op.Disclosures) || len(stored.Disclosures) != 0 {
		t.Fatalf("disclosures %v, replayed %v, stored %v", op.Disclosures, replayed.Disclosures, stored.Disclosures)
	}
}
