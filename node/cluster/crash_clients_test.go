package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
	court "github.com/dcann/dcann/scripts/chaos/check"
)

// How clients behave.
const (
	clientCount    = 5
	openSubjects   = 4  // passports that they work on at a time
	subjectEvents  = 60 // after which a passport is left alone: it is judged the sooner
	subjectUnknown = 8  // likewise, of unknown outcomes, each of which doubles what judging may cost
	clientPatience = 400 * time.Millisecond
)

// subject is a passport of several clients. All of them know its key.
type subject struct {
	mu      sync.Mutex
	story   court.Subject
	ops     []*registry.Operation // that were ever signed
	head    *registry.Operation   // the newest that anybody has seen standing; nil: none
	indexes []uint64              // of acknowledged operations
	unknown int
}

// holder signs for all passports: making keys would be most of the work.
var holder = sync.OnceValues(func() (jws.PrivateKey, jws.Multikey) { return newKey(), newKey().Public().Multikey() })

// sign makes an operation: a create, or an update of head. The caller holds mu.
func (s *subject) sign() *registry.Operation {
	key, spare := holder()
	c := registry.Content{Act: registry.Create, Country: "zz", Iat: time.Now().Unix(), Record: &registry.Record{
		Kind: registry.Passport, Rotation: []jws.Multikey{key.Public().Multikey()},
		Keys: []registry.Key{{ID: fmt.Sprintf("k%d", serial.Add(1)), Key: spare, Use: []registry.Use{registry.UseAuth}}},
	}}
	if s.story.ID != "" {
		c.Act, c.Country, c.ID, c.Prev, c.Seq = registry.Update, "", s.story.ID, s.head.Name, s.head.Seq+1
	}
	op, err := c.Sign(key)
	if err != nil {
		panic(err)
	}
	if s.story.ID == "" {
		s.story.ID = op.ID
	}
	s.ops = append(s.ops, op)
	return op
}

// next is what a client submits: an operation, or one of the last again.
func (s *subject) next(rng *rand.Rand) *registry.Operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.ops); n > 0 && (s.head == nil || rng.IntN(6) == 0) {
		return s.ops[n-1-rng.IntN(min(n, 3))]
	}
	return s.sign()
}

// saw notes that the operation stands.
func (s *subject) saw(name registry.OpID) {
	i := slices.IndexFunc(s.ops, func(op *registry.Operation) bool { return op.Name == name })
	if i >= 0 && (s.head == nil || s.head.Seq < s.ops[i].Seq) {
		s.head = s.ops[i]
	}
}

func (s *subject) note(e court.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.story.Events = append(s.story.Events, e)
	switch {
	case e.Outcome == court.Unknown:
		s.unknown++
	case e.Action == court.Submit && e.Outcome == court.OK:
		s.saw(e.Op)
		s.indexes = append(s.indexes, e.Index)
	case e.Action == court.Read || e.Refusal == registry.Conflict:
		s.saw(e.Head)
	}
}

func (s *subject) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.story.Events) >= subjectEvents || s.unknown >= subjectUnknown
}

// book holds the passports of a round.
type book struct {
	mu   sync.Mutex
	open []*subject
	all  []*subject
}

func (b *book) pick(rng *rand.Rand) *subject {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := rng.IntN(openSubjects)
	for len(b.open) <= i {
		b.open = append(b.open, nil)
	}
	if b.open[i] == nil || b.open[i].full() {
		b.open[i] = new(subject)
		b.all = append(b.all, b.open[i])
	}
	return b.open[i]
}

// close returns all passports. Clients get new ones.
func (b *book) close() []*subject {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.open, b.all = nil, nil
	return all
}

// clients work until stop is closed.
func (w *world) clients(stop <-chan struct{}) *sync.WaitGroup {
	var working sync.WaitGroup
	for id := range clientCount {
		rng := rand.New(rand.NewPCG(w.seed, uint64(id)+w.counts.rounds.Load()<<8))
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(rng.IntN(3000)) * time.Microsecond):
				}
				w.act(id, rng, w.hosts[rng.IntN(len(w.hosts))], w.book.pick(rng), 45)
			}
		})
	}
	return &working
}

// act has a client do one thing: so many of a hundred are writes.
func (w *world) act(id int, rng *rand.Rand, h *host, s *subject, writes int) {
	l := h.node()
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	e := court.Event{Client: id, Node: h.name}
	l.use(func() {
		if rng.IntN(100) < writes {
			w.submit(ctx, l, s, s.next(rng), e)
		} else {
			w.read(ctx, l, s, rng, e)
		}
	})
}

func (w *world) submit(ctx context.Context, l *life, s *subject, op *registry.Operation, e court.Event) {
	e.Action, e.Op, e.Prev, e.Call = court.Submit, op.Name, op.Prev, w.now()
	r, err := l.SubmitOperation(ctx, op)
	e.Return = w.now()
	kind := registry.KindOf(err)
	switch {
	case l.over.Load(), err != nil && kind == registry.Unavailable && !errors.Is(err, errNoLeader):
		e.Outcome, e.Return = court.Unknown, court.Open
		w.counts.unknown.Add(1)
	case err == nil:
		e.Outcome, e.Seq, e.Position, e.Index = court.OK, r.Seq, r.Position, r.Index
		w.counts.acked.Add(1)
	case kind == registry.Unavailable:
		return // it says that nothing was written: if something was, nobody has submitted it
	default:
		e.Outcome, e.Refusal = court.Refused, kind
		if own, ok := errors.AsType[*registry.Error](err); ok {
			e.Head = own.Head
		}
		w.counts.refused.Add(1)
	}
	s.note(e)
}

func (w *world) read(ctx context.Context, l *life, s *subject, rng *rand.Rand, e court.Event) {
	s.mu.Lock()
	id, indexes := s.story.ID, s.indexes
	s.mu.Unlock()
	if id == "" {
		return
	}
	e.Action, e.Level, e.Call = court.Read, wire.Linearizable, w.now()
	var err error
	if rng.IntN(2) == 0 {
		err = l.ReadIndex(ctx)
	} else {
		e.Level = wire.Bounded
		if len(indexes) > 0 && rng.IntN(2) == 0 {
			e.MinIndex = indexes[rng.IntN(len(indexes))]
			err = l.WaitIndex(ctx, e.MinIndex)
		}
		err = errors.Join(err, l.Bounded())
		e.Staleness, _ = l.Staleness()
	}
	if err != nil {
		return
	}
	v, err := l.st.Record(id)
	e.Return = w.now()
	switch {
	case l.over.Load():
		return
	case err == nil:
		e.Outcome, e.Head, e.Seq, e.Position = court.OK, v.Head, v.Seq, v.Position
	default:
		e.Outcome, e.Refusal = court.Refused, registry.KindOf(err)
	}
	w.counts.reads.Add(1)
	s.note(e)
}
