package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// history is what a registry that may lie tells of one record.
type history struct {
	t    *testing.T
	id   registry.ID
	head *registry.Operation
	page wire.History
}

func newKey(t *testing.T) jws.PrivateKey {
	t.Helper()
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func passportOf(keys ...jws.PrivateKey) *registry.Record {
	r := &registry.Record{Kind: registry.Passport, Strands: registry.PadStrands(nil)}
	for _, k := range keys {
		r.Rotation = append(r.Rotation, k.Public().Multikey())
	}
	return r
}

const historyStart = registry.Millis(1_795_000_000_000)

// add signs an operation with key and puts it at the end, whether it may stand there or not.
func (h *history) add(key jws.PrivateKey, c registry.Content) *registry.Operation {
	h.t.Helper()
	n := len(h.page.Operations)
	c.Iat = historyStart.Unix()
	if c.Act == registry.Create {
		c.Country = "xz"
	} else {
		c.ID, c.Prev, c.Seq = h.id, h.head.Name, uint64(n)
	}
	op, err := c.Sign(key)
	if err != nil {
		h.t.Fatal(err)
	}
	if c.Act == registry.Create {
		h.id = op.ID
	}
	h.head = op
	h.page.Operations = append(h.page.Operations, wire.HistoryEntry{
		Op: op.Name, Seq: uint64(n), Position: uint64(n), Time: wire.Time(historyStart + registry.Millis(n)), Operation: string(op.Bytes()),
	})
	return op
}

// serve answers as the registry, and returns the wallet's view or its refusal.
func (h *history) fetch() (*chain, error) {
	h.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any = h.page
		if r.URL.Path == wire.PathRegistry {
			v = wire.Registry{Country: "xz", Policy: registry.DefaultPolicy("xz")}
		}
		body, err := wire.Encode(v)
		if err != nil {
			h.t.Error(err)
		}
		w.Write(body)
	}))
	defer server.Close()
	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	return fetchChain(h.t.Context(), c, h.id)
}

func TestWalletBelievesAnHonestHistory(t *testing.T) {
	t.Parallel()
	safe, daily, thief := newKey(t), newKey(t), newKey(t)
	h := &history{t: t}
	h.add(safe, registry.Content{Act: registry.Create, Record: passportOf(safe, daily)})
	theft := h.add(daily, registry.Content{Act: registry.Update, Record: passportOf(thief)})
	h.add(safe, registry.Content{Act: registry.Recover, Undo: theft.Name, Record: passportOf(safe)})
	ch, err := h.fetch()
	if err != nil {
		t.Fatal(err)
	}
	if r := ch.inForce(); len(r.Rotation) != 1 || r.Rotation[0] != safe.Public().Multikey() || ch.lineage.Head != h.head.Name {
		t.Errorf("in force is %v with head %s", r.Rotation, ch.lineage.Head)
	}
}

// TestWalletBelievesNoLie: a wallet signs the whole record anew, so whatever a registry slips into it
// would be signed by its victim.
func TestWalletBelievesNoLie(t *testing.T) {
	t.Parallel()
	safe, registrys := newKey(t), newKey(t)
	for _, tt := range []struct {
		name string
		lie  func(h *history)
		want string
	}{
		{"an update of the registry's own", func(h *history) {
			h.add(registrys, registry.Content{Act: registry.Update, Record: passportOf(safe, registrys)})
		}, "expected a key of the record's rotation"},
		{"another passport's create", func(h *history) {
			id := h.id
			h.page.Operations = nil
			h.add(registrys, registry.Content{Act: registry.Create, Record: passportOf(registrys)})
			h.id = id
		}, "stands for"},
		{"a broken signature", func(h *history) {
			// The last character of the signature holds four bits of it.
			text := []byte(h.page.Operations[0].Operation)
			at := bytes.IndexByte(text, '~') - 10
			text[at] = map[bool]byte{true: 'B', false: 'A'}[text[at] == 'A']
			h.page.Operations[0].Operation = string(text)
		}, "signature"},
		{"a history without its beginning", func(h *history) {
			h.add(safe, registry.Content{Act: registry.Update, Record: passportOf(safe)})
			h.page.Operations = h.page.Operations[1:]
		}, "not known"},
		{"a history with a gap", func(h *history) {
			h.add(safe, registry.Content{Act: registry.Update, Record: passportOf(safe, registrys)})
			h.add(safe, registry.Content{Act: registry.Update, Record: passportOf(safe)})
			h.page.Operations = append(h.page.Operations[:1], h.page.Operations[2])
		}, "prev"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &history{t: t}
			h.add(safe, registry.Content{Act: registry.Create, Record: passportOf(safe)})
			tt.lie(h)
			_, err := h.fetch()
			if !errors.Is(err, registry.Unverifiable) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v: expected unverifiable, with %q", err, tt.want)
			}
		})
	}
}

func TestWalletOfAnErasedRecord(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	h := &history{t: t}
	h.add(key, registry.Content{Act: registry.Create, Record: passportOf(key)})
	h.page.Operations[0].Operation = ""
	if _, err := h.fetch(); !errors.Is(err, registry.Gone) {
		t.Errorf("got %v: expected gone", err)
	}
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	safe, middle, daily, thief := newKey(t), newKey(t), newKey(t), newKey(t)
	build := func(signers ...jws.PrivateKey) (*chain, []registry.OpID) {
		h := &history{t: t}
		h.add(safe, registry.Content{Act: registry.Create, Record: passportOf(safe, middle, daily)})
		var ops []registry.OpID
		for _, s := range signers {
			ops = append(ops, h.add(s, registry.Content{Act: registry.Update, Record: passportOf(safe, middle, daily, thief)}).Name)
		}
		ch, err := h.fetch()
		if err != nil {
			t.Fatal(err)
		}
		return ch, ops
	}
	soon := historyStart.Add(time.Hour)
	for _, tt := range []struct {
		name    string
		signers []jws.PrivateKey
		by      jws.PrivateKey
		undo    int // which to name; -1: none
		now     registry.Millis
		want    int           // which is undone
		kind    registry.Kind // if refused; "usage" for a choice that is the person's
	}{
		{"the only one", []jws.PrivateKey{daily}, safe, -1, soon, 0, ""},
		{"one of several, chosen", []jws.PrivateKey{daily, daily}, safe, 1, soon, 1, ""},
		{"one of several, not chosen", []jws.PrivateKey{daily, daily}, safe, -1, soon, 0, "usage"},
		{"only what comes after one's own", []jws.PrivateKey{middle, daily}, middle, -1, soon, 1, ""},
		{"too weak", []jws.PrivateKey{middle}, daily, -1, soon, 0, registry.Forbidden},
		{"a stranger", []jws.PrivateKey{daily}, newKey(t), -1, soon, 0, registry.Forbidden},
		{"too late", []jws.PrivateKey{daily}, safe, -1, historyStart.Add(73 * time.Hour), 0, registry.Forbidden},
		{"nothing happened", nil, safe, -1, soon, 0, registry.Forbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ch, ops := build(tt.signers...)
			var undo registry.OpID
			if tt.undo >= 0 {
				undo = ops[tt.undo]
			}
			c, err := ch.recovery(tt.by, undo, tt.now)
			switch {
			case tt.kind == "usage":
				if exitCode(err) != exitUsage || !strings.Contains(err.Error(), string(ops[0])) || !strings.Contains(err.Error(), string(ops[1])) {
					t.Errorf("got %v: expected the choice to be listed", err)
				}
			case tt.kind != "":
				if !errors.Is(err, tt.kind) {
					t.Errorf("got %v: expected %s", err, tt.kind)
				}
			case err != nil:
				t.Fatal(err)
			case c.Undo != ops[tt.want] || c.Seq != uint64(len(ops)+1) || c.Prev != ch.lineage.Head:
				t.Errorf("got undo %s, seq %d, prev %s", c.Undo, c.Seq, c.Prev)
			}
		})
	}
}
