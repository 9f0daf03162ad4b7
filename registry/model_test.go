package registry

import (
	"slices"
	"time"
)

// model is section 6 of the design, written down again as plainly as can be: all operations of all
// records for ever, one full stack each, nothing pruned, nothing remembered that could be looked up.
// It judges contents, not bytes, and knows signers by name.
type model struct {
	country Country
	records map[ID]*modelRecord
}

type modelRecord struct {
	accepted []*modelOp
	stack    []*modelOp // what stands, the create at the bottom
	erased   bool
	held     map[Digest]string // strand ids of the disclosures held
}

type modelOp struct {
	Content
	name   OpID
	signer string // the key
	forged bool
	sent   map[Digest]string // strand ids of its disclosures
	time   Millis
	base   *modelOp // the operation with the record below it when it was pushed; nil for a create
}

const (
	modelWindow = 72 * 3600 * 1000 // ms
	modelKnown  = Kind("known")
)

// submit is Submit. It returns "" for accepted, known, or the kind of the refusal.
func (m *model) submit(op *modelOp, now Millis) Kind {
	if op.ID.Country() != m.country {
		return Misdirected
	}
	r := m.records[op.ID]
	if r != nil && slices.ContainsFunc(r.accepted, func(o *modelOp) bool { return o.name == op.name }) {
		return modelKnown
	}
	kind := m.judge(r, op, now)
	if kind != "" {
		return kind
	}
	if r == nil {
		r = &modelRecord{held: make(map[Digest]string)}
		m.records[op.ID] = r
	}
	op.time = now
	r.push(op)
	return ""
}

// judge goes through the order of checks after 200 known.
func (m *model) judge(r *modelRecord, op *modelOp, now Millis) Kind {
	switch {
	case r == nil && op.Act != Create:
		return NotFound
	case r != nil && r.erased:
		return Gone
	case r == nil:
		if !slices.Contains(rotation(op), op.signer) {
			return Forbidden
		}
	case r.top().Act == Deactivate && op.Act != Recover && op.Act != Erase:
		return Gone
	case op.Prev != r.last().name:
		return Conflict
	case op.Seq != r.last().Seq+1:
		return Invalid
	case !r.entitled(op, now):
		return Forbidden
	}
	if op.forged {
		return BadSignature
	}
	if r != nil && !r.fits(op, now) || foretold(op, now) {
		return Invalid
	}
	if off := op.Iat - int64(now)/1000; off > 600 || off < -600 {
		return Invalid
	}
	if r != nil && r.overQuota(op, now) {
		return Quota
	}
	return ""
}

func rotation(op *modelOp) []string {
	var names []string
	for _, k := range op.Record.Rotation {
		names = append(names, string(k))
	}
	return names
}

// rank is a signer's place in the rotation of the record of op; absent is weakest.
func rank(op *modelOp, signer string) int {
	if i := slices.Index(rotation(op), signer); i >= 0 {
		return i
	}
	return 99
}

func (r *modelRecord) top() *modelOp  { return r.stack[len(r.stack)-1] }
func (r *modelRecord) last() *modelOp { return r.accepted[len(r.accepted)-1] }

// inForce is the operation whose record is in force.
func (r *modelRecord) inForce() *modelOp {
	if r.top().Act == Deactivate {
		return r.stack[len(r.stack)-2]
	}
	return r.top()
}

// place is where on the stack undo stands; 0 if it does not, or is the create.
func (r *modelRecord) place(undo OpID) int {
	return max(0, slices.IndexFunc(r.stack, func(o *modelOp) bool { return o.name == undo }))
}

func (r *modelRecord) entitled(op *modelOp, now Millis) bool {
	switch op.Act {
	case Recover:
		at := r.place(op.Undo)
		return at > 0 && now-r.stack[at].time <= modelWindow && r.outranks(op.signer, at)
	case Erase:
		return r.accepted[0].Record.Kind == Passport && r.top().Act == Deactivate &&
			rank(r.inForce(), op.signer) < 99 && now-r.top().time > modelWindow
	}
	return rank(r.inForce(), op.signer) < 99
}

// outranks reports whether signer may take off all from at upwards.
func (r *modelRecord) outranks(signer string, at int) bool {
	base := r.stack[at].base
	mine := rank(base, signer)
	for _, o := range r.stack[at:] {
		if rank(base, o.signer) <= mine {
			return false
		}
	}
	return mine < 99
}

// fits are the rules on a record that need the record it is based on and what is held.
func (r *modelRecord) fits(op *modelOp, now Millis) bool {
	if op.Record == nil {
		return true
	}
	before := r.inForce()
	if op.Act == Recover {
		before = r.stack[r.place(op.Undo)].base
	}
	if op.Record.Kind != before.Record.Kind {
		return false
	}
	for _, k := range op.Record.Keys {
		for _, b := range before.Record.Keys {
			if b.Key == k.Key && b.Retired != nil && (k.Retired == nil || *k.Retired != *b.Retired) {
				return false
			}
		}
	}
	names := make(map[string]int)
	for _, k := range op.Record.Keys {
		names[k.ID]++
	}
	for _, d := range op.Record.Strands {
		if name, ok := op.sent[d]; ok {
			names[name]++
		} else if name, ok := r.held[d]; ok && r.refers(d, now) {
			names[name]++
		}
	}
	for _, n := range names {
		if n > 1 {
			return false
		}
	}
	return true
}

func foretold(op *modelOp, now Millis) bool {
	if op.Record == nil {
		return false
	}
	return slices.ContainsFunc(op.Record.Keys, func(k Key) bool { return k.Retired != nil && *k.Retired > int64(now)/1000 })
}

func (r *modelRecord) overQuota(op *modelOp, now Millis) bool {
	if op.Act == Recover || op.Act == Erase {
		return false
	}
	hour, day, stops := 0, 0, 0
	for _, o := range r.accepted {
		if o.Act == Recover {
			continue
		}
		if now-o.time < 3600*1000 {
			hour++
		}
		if now-o.time < 24*3600*1000 {
			day++
			if o.Act == Deactivate {
				stops++
			}
		}
	}
	return hour >= 10 || day >= 30 || op.Act == Deactivate && stops >= 3
}

func (r *modelRecord) push(op *modelOp) {
	r.drop(op.time)
	r.accepted = append(r.accepted, op)
	switch op.Act {
	case Erase:
		r.erased, r.held, r.accepted = true, nil, []*modelOp{op}
		return
	case Create:
	case Recover:
		at := r.place(op.Undo)
		op.base = r.stack[at].base
		r.stack = slices.Clone(r.stack[:at])
	default:
		op.base = r.inForce()
	}
	r.stack = append(r.stack, op)
	for d, name := range op.sent {
		r.held[d] = name
	}
	r.drop(op.time)
}

func (r *modelRecord) drop(now Millis) {
	for d := range r.held {
		if !r.refers(d, now) {
			delete(r.held, d)
		}
	}
}

// refers reports whether the record in force, or one that somebody could bring back, has d.
func (r *modelRecord) refers(d Digest, now Millis) bool {
	if slices.Contains(r.inForce().Record.Strands, d) {
		return true
	}
	for at, o := range r.stack {
		if at > 0 && r.undoable(at, now) && slices.Contains(o.base.Record.Strands, d) {
			return true
		}
	}
	return false
}

// undoable tries every key of the rotation below.
func (r *modelRecord) undoable(at int, now Millis) bool {
	return now-r.stack[at].time <= modelWindow &&
		slices.ContainsFunc(rotation(r.stack[at].base), func(k string) bool { return r.outranks(k, at) })
}

// finalAt is the latest end of the time in which an operation that is not signed by its base's first key
// could be undone by somebody. 0 if that is over, or never was.
func (r *modelRecord) finalAt(now Millis) (final Millis) {
	if r.erased {
		return 0
	}
	for at, o := range r.stack {
		if at > 0 && rotation(o.base)[0] != o.signer && r.undoable(at, now) {
			final = max(final, o.time.Add(72*time.Hour))
		}
	}
	return final
}
