package state

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
)

// history is a file of registry/testdata/histories; its README says what the members mean.
type history struct {
	Policy string
	Steps  []historyStep
	End    []struct {
		ID       registry.ID
		Status   registry.Status
		Head     registry.OpID
		Seq      uint64
		FinalAt  registry.Millis
		Held     []registry.Digest
		Standing registry.OrgStatus
		Epoch    uint64
	}
}

type historyStep struct {
	Time                          registry.Millis
	Operation, Status, Acceptance string
	Known                         bool
	Error                         registry.Kind
	Head                          registry.OpID
	RetryAfterMillis              int64
}

// player gives texts to a store as a leader does, one entry each.
type player struct {
	s     *Store
	index uint64
}

func (p *player) submit(now registry.Millis, c Proposal, known *Result, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	if known != nil {
		return *known, known.Err
	}
	p.index++
	b := Batch{Time: now, Seed: [32]byte{byte(p.index)}, Commands: []Command{c.Command()}}
	data, err := b.Encode()
	if err != nil {
		return Result{}, err
	}
	results, err := p.s.ApplyBatch([]Entry{{Index: p.index, Term: 1, Data: data}})
	if err != nil {
		return Result{}, err
	}
	return results[0][0], results[0][0].Err
}

func (p *player) step(st historyStep) (Result, error) {
	switch {
	case st.Operation != "":
		op, err := registry.ParseOperation([]byte(st.Operation))
		if err != nil {
			return Result{}, err
		}
		c, known, err := p.s.CheckOperation(op, st.Time)
		return p.submit(st.Time, c, known, err)
	case st.Status != "":
		s, err := registry.ParseStatus([]byte(st.Status))
		if err != nil {
			return Result{}, err
		}
		c, known, err := p.s.CheckStatus(s, st.Time)
		return p.submit(st.Time, c, known, err)
	}
	a, err := registry.ParseAcceptance([]byte(st.Acceptance))
	if err != nil {
		return Result{}, err
	}
	c, known, err := p.s.CheckAcceptance(a, st.Time)
	return p.submit(st.Time, c, known, err)
}

// TestHistories plays the histories that prove the rules of package registry through the whole of the
// replicated state: what is accepted, known and refused there must be so here.
func TestHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "testdata", "histories", "*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d histories, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			playHistory(t, path)
		})
	}
}

func playHistory(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var h history
	if err := json.Unmarshal(text, &h); err != nil {
		t.Fatal(err)
	}
	s, err := Open("state", Options{FS: vfs.NewMem(), CacheBytes: 4 << 20, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &player{s: s}
	c, known, err := s.CheckPolicy([]byte(h.Policy))
	if _, err := p.submit(h.Steps[0].Time-1, c, known, err); err != nil {
		t.Fatal(err)
	}
	for i, st := range h.Steps {
		if s.DueTick(st.Time) {
			if _, err := p.submit(st.Time, TickProposal(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		r, err := p.step(st)
		if st.Error == "" {
			if err != nil || r.Known != st.Known {
				t.Fatalf("step %d: known %v, %v: expected known %v", i, r.Known, err, st.Known)
			}
			continue
		}
		if registry.KindOf(err) != st.Error {
			t.Fatalf("step %d: %v: expected %s", i, err, st.Error)
		}
		var e *registry.Error
		if errors.As(err, &e) && (e.Head != st.Head || e.RetryAfter != time.Duration(st.RetryAfterMillis)*time.Millisecond) {
			t.Fatalf("step %d: head %s, retry after %v: expected %s, %d ms", i, e.Head, e.RetryAfter, st.Head, st.RetryAfterMillis)
		}
	}
	for _, want := range h.End {
		v, err := s.Record(want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if v.Status != want.Status || v.Head != want.Head || v.Seq != want.Seq || v.FinalAt != want.FinalAt {
			t.Errorf("ends as %s, %s, %d, final at %d: expected %+v", v.Status, v.Head, v.Seq, v.FinalAt, want)
		}
		if want.Standing != "" && (v.Organisation.Standing != want.Standing || v.Organisation.Epoch != want.Epoch) {
			t.Errorf("stands as %s, epoch %d: expected %+v", v.Organisation.Standing, v.Organisation.Epoch, want)
		}
		for _, sv := range v.Strands {
			if !slices.Contains(want.Held, sv.Digest) {
				t.Errorf("shows strand %s, which is not held", sv.Strand.ID)
			}
		}
	}
}
