package registry

import (
	"fmt"
	"slices"
	"time"

	"github.com/dcann/dcann/registry/jws"
)

// Status is how a record stands (DESIGN 12). Moved is reserved until federation.
type Status string

// The standings of a record.
const (
	Active      Status = "active"
	Deactivated Status = "deactivated"
	Erased      Status = "erased"
)

// Lineage is what the rules remember of one record between two operations: enough to judge the next
// one, however long the history is. It is a value: Check never changes it, Verified.Next returns the one
// that follows.
type Lineage struct {
	ID      ID
	Kind    RecordKind
	Status  Status
	Head    OpID
	Seq     uint64 // of the head; operations are counted through recoveries
	Created Millis
	Updated Millis // registry time of the head

	// RecordSeq is the seq of the operation whose record is in force: the head's, or, when that is a
	// deactivation, of the one below it on the stack.
	RecordSeq uint64

	// Stack is the end of the stack of standing operations that can still be undone, oldest first: what
	// is older than the recovery window is cut off when the next operation comes.
	Stack []Standing

	// Recent are the operations that quotas count, of the last 24 hours, oldest first.
	Recent []Counted
}

// Standing is an operation on the stack.
type Standing struct {
	Op     OpID
	Act    Act
	Seq    uint64
	Time   Millis // registry time
	Signer jws.Multikey
	Base   uint64 // seq of the operation whose record was in force below it when it was pushed
	Strong bool   // signed by its base's first key, so that no key outranks it

	// First is that first key, empty when Strong. Once it signed something above, this operation can no
	// longer be undone: nobody outranks it.
	First jws.Multikey
}

// Env is what a check needs besides the operation and the record's lineage.
type Env struct {
	Now    Millis // the entry's registry time
	Clock  Millis // the leader's own clock, which iat is compared with; 0: it is Now
	Policy *Policy

	// InForce is the record in force; nil for a create, and once erased.
	InForce *Record
	// RecordAt returns the record that the operation with this seq carried. Called for recover only, with
	// the Base of a Standing.
	RecordAt func(seq uint64) (*Record, error)
	// Held returns the disclosure that the registry holds for a digest of this record; nil if it holds none.
	Held func(Digest) (Disclosure, bool)
}

// Verified is an operation that may be appended to the lineage it was checked against. Only
// Lineage.Check makes one, so an unchecked operation cannot be proposed or applied, by construction.
type Verified struct {
	op     *Operation
	next   Lineage
	undone []Standing
}

// Operation is what was checked.
func (v Verified) Operation() *Operation { return v.op }

// Next is the lineage after the operation.
func (v Verified) Next() Lineage { return v.next }

// Undone are the operations that a recover took off the stack, oldest first.
func (v Verified) Undone() []Standing { return v.undone }

// Check judges op against the record's lineage in the order of DESIGN 6, from 421 on: form was judged by
// ParseOperation, and whether op is already known (200) is the caller's look-up, to be made after
// CheckHome and before Check. l is nil when there is no such record. It does no I/O but through env.
//
// The error's kind is Misdirected, NotFound, Gone, Conflict (with the head), Invalid, Forbidden,
// BadSignature or Quota (with RetryAfter); or what env.RecordAt returned.
func (l *Lineage) Check(op *Operation, env Env) (Verified, error) {
	if err := CheckHome(op.ID, env.Policy.Country); err != nil {
		return Verified{}, err
	}
	if op.Act == Create {
		return l.checkCreate(op, env)
	}
	if err := l.checkPlace(op); err != nil {
		return Verified{}, err
	}
	v, base, err := l.extend(op, env)
	if err != nil {
		return Verified{}, err
	}
	if op.signature != nil {
		return Verified{}, op.signature
	}
	if err := op.checkAgainstState(l, base, env); err != nil {
		return Verified{}, err
	}
	if err := checkIat(op.Iat, env.Clock, env.Now, env.Policy); err != nil {
		return Verified{}, err
	}
	if err := v.next.count(op, env); err != nil {
		return Verified{}, err
	}
	return v, nil
}

// CheckHome refuses an identifier that another country answers for. The error's kind is Misdirected.
func CheckHome(id ID, here Country) error {
	if c := id.Country(); c != here {
		return &Error{Kind: Misdirected, Country: c, Detail: fmt.Sprintf("%s belongs to country %s: this is the registry of %s", id, c, here)}
	}
	return nil
}

func (l *Lineage) checkCreate(op *Operation, env Env) (Verified, error) {
	switch {
	case l != nil && l.Status == Erased:
		return Verified{}, fail(Gone, "%s was erased", op.ID)
	case l != nil: // the caller should have found it known; the name fixes the content
		return Verified{}, &Error{Kind: Conflict, Head: l.Head, Detail: fmt.Sprintf("%s exists already", op.ID)}
	case !op.Record.Entitled(op.Signer):
		return Verified{}, fail(Forbidden, "create is signed by %s: expected a key of its own rotation", op.Signer)
	case op.signature != nil:
		return Verified{}, op.signature
	}
	if err := op.Record.checkRetired(nil, env.Now); err != nil {
		return Verified{}, err
	}
	if err := checkIat(op.Iat, env.Clock, env.Now, env.Policy); err != nil {
		return Verified{}, err
	}
	next := Lineage{
		ID: op.ID, Kind: op.Record.Kind, Status: Active, Head: op.Name, Created: env.Now, Updated: env.Now,
		Recent: []Counted{{Time: env.Now, Act: Create}},
	}
	return Verified{op: op, next: next}, nil
}

// checkPlace finds out whether op comes at the end of this history: 404, 410, 409, 400.
func (l *Lineage) checkPlace(op *Operation) error {
	switch {
	case l == nil:
		return fail(NotFound, "%s is not known here", op.ID)
	case l.Status == Erased:
		return fail(Gone, "%s was erased", op.ID)
	case l.Status == Deactivated && op.Act != Recover && op.Act != Erase:
		return fail(Gone, "%s is deactivated: expected recover or erase, not %s", op.ID, op.Act)
	case op.Prev != l.Head:
		return &Error{Kind: Conflict, Head: l.Head, Detail: fmt.Sprintf("prev %s is not the head: the head is %s", op.Prev, l.Head)}
	case op.Seq != l.Seq+1:
		return invalid("payload.seq is %d: expected %d after the head", op.Seq, l.Seq+1)
	}
	return nil
}

// extend makes the lineage after op, if its signer is entitled to it, and finds the record that op is
// based on: the one in force, or, for a recover, the one below what it takes off.
func (l *Lineage) extend(op *Operation, env Env) (v Verified, base *Record, err error) {
	if op.Act == Erase {
		v.op, v.next = op, Lineage{
			ID: l.ID, Kind: l.Kind, Status: Erased, Head: op.Name, Seq: op.Seq,
			Created: l.Created, Updated: env.Now, RecordSeq: op.Seq,
		}
		return v, env.InForce, l.checkErase(op, env)
	}
	next := *l
	next.Head, next.Seq, next.Updated = op.Name, op.Seq, env.Now
	next.Recent = slices.Clone(l.Recent)
	next.Stack = l.undoable(env)
	pushed := Standing{Op: op.Name, Act: op.Act, Seq: op.Seq, Time: env.Now, Signer: op.Signer, Base: l.RecordSeq}
	base = env.InForce
	if op.Act == Recover {
		if next.Stack, v.undone, base, err = takeOff(next.Stack, op, env); err != nil {
			return Verified{}, nil, err
		}
		pushed.Base = v.undone[0].Base
		next.Status = Active
	} else if !base.Entitled(op.Signer) {
		return Verified{}, nil, fail(Forbidden, "%s is signed by %s: expected a key of the record's rotation", op.Act, op.Signer)
	}
	if op.Act == Deactivate {
		next.Status = Deactivated
	} else {
		next.RecordSeq = op.Seq
	}
	if pushed.Strong = base.Rank(op.Signer) == 0; !pushed.Strong {
		pushed.First = base.Rotation[0]
	}
	next.Stack = append(next.Stack, pushed)
	v.op, v.next = op, next
	return v, base, nil
}

// undoable copies the part of the stack that is inside the recovery window; exactly at its end is
// still inside (DESIGN 6, rule 3).
func (l *Lineage) undoable(env Env) []Standing {
	from := slices.IndexFunc(l.Stack, func(s Standing) bool { return env.Now <= s.Time.Add(env.Policy.Window()) })
	if from < 0 {
		return nil
	}
	return slices.Clone(l.Stack[from:])
}

// takeOff splits the stack at op.Undo and decides whether op's signer outranks all who signed above it,
// by the rotation of the base of op.Undo (DESIGN 6, rule 3).
func takeOff(stack []Standing, op *Operation, env Env) (rest, undone []Standing, base *Record, err error) {
	at := slices.IndexFunc(stack, func(s Standing) bool { return s.Op == op.Undo })
	if at < 0 {
		return nil, nil, nil, fail(Forbidden, "undo %s: expected an operation that stands, is not the create, and is at most %v old", op.Undo, env.Policy.Window())
	}
	rest, undone = stack[:at:at], stack[at:]
	if base, err = env.RecordAt(undone[0].Base); err != nil {
		return nil, nil, nil, err
	}
	rank := base.Rank(op.Signer)
	if rank == len(base.Rotation) {
		return nil, nil, nil, fail(Forbidden, "recover is signed by %s: expected a key of the rotation below the operation that it undoes", op.Signer)
	}
	for _, s := range undone {
		if base.Rank(s.Signer) <= rank {
			return nil, nil, nil, fail(Forbidden, "recover is signed by key %d of the rotation: expected one stronger than that of %s, which it takes off", rank+1, s.Op)
		}
	}
	return rest, undone, base, nil
}

// checkErase enforces DESIGN 6, rule 4.
func (l *Lineage) checkErase(op *Operation, env Env) error {
	final := l.Updated.Add(env.Policy.Window())
	switch {
	case l.Kind != Passport:
		return fail(Forbidden, "erase: an organisation's record is public and stays")
	case l.Status != Deactivated:
		return fail(Forbidden, "erase: expected a record that is deactivated")
	case !env.InForce.Entitled(op.Signer):
		return fail(Forbidden, "erase is signed by %s: expected a key of the last rotation", op.Signer)
	case env.Now <= final:
		return fail(Forbidden, "erase: the deactivation can be undone until %s", final.Time().Format(time.RFC3339))
	}
	return nil
}

// FinalAt is when the last operation that a stronger key could still undo becomes final; false if there is
// none (DESIGN 6, rule 6). At that very millisecond it can still be undone. The time may have passed:
// readers compare it with their own clock, and after it show it no longer.
func (l *Lineage) FinalAt(window time.Duration) (Millis, bool) {
	for i, s := range slices.Backward(l.Stack) {
		if l.outranked(i) {
			return s.Time.Add(window), true
		}
	}
	return 0, false
}

// Undoable are the operations that some key could still take off at now, oldest first. The records at
// their Base are those that can come back (DESIGN 5).
func (l *Lineage) Undoable(now Millis, window time.Duration) (some []Standing) {
	for i, s := range l.Stack {
		if now <= s.Time.Add(window) && l.outranked(i) {
			some = append(some, s)
		}
	}
	return some
}

// outranked reports whether some key could undo number i of the stack, in time. To undo it is to undo
// all above it too, which nobody can once the strongest key of its base has signed there.
func (l *Lineage) outranked(i int) bool {
	s := l.Stack[i]
	return !s.Strong && !slices.ContainsFunc(l.Stack[i:], func(above Standing) bool { return above.Signer == s.First })
}

// checkAgainstState makes the checks of a record that need the record it is based on (kind, retired
// keys) and the disclosures held: strands that are not sent again have ids too. It comes after the
// signature, as what is held is not for strangers to find out.
func (op *Operation) checkAgainstState(l *Lineage, base *Record, env Env) error {
	if op.Record == nil {
		return nil
	}
	if op.Record.Kind != l.Kind {
		return invalid("record.kind is %s: expected %s, it never changes", op.Record.Kind, l.Kind)
	}
	if err := op.Record.checkRetired(base, env.Now); err != nil {
		return err
	}
	ids := make(map[string]Digest)
	for _, k := range op.Record.Keys {
		ids[k.ID] = ""
	}
	for _, d := range op.Disclosures {
		ids[d.Strand.ID] = d.Digest
	}
	for _, digest := range op.Record.Strands {
		d, ok := env.Held(digest)
		if !ok {
			continue
		}
		if other, taken := ids[d.Strand.ID]; taken && other != digest {
			return invalid("record.strands: the strand of digest %s has id %q, which is also that of a key or another strand", digest, d.Strand.ID)
		}
		ids[d.Strand.ID] = digest
	}
	return nil
}

// checkRetired enforces that retirement is told once and not foretold (DESIGN 7). A recover is compared
// with the record below what it undoes: else a thief could retire the holder's keys for good.
func (r *Record) checkRetired(before *Record, now Millis) error {
	for i, k := range r.Keys {
		if k.Retired != nil && *k.Retired > now.Unix() {
			return invalid("record.keys[%d].retired is %d: expected no time after %d, the registry's", i, *k.Retired, now.Unix())
		}
		if before == nil {
			continue
		}
		at := slices.IndexFunc(before.Keys, func(b Key) bool { return b.Key == k.Key })
		if at < 0 || before.Keys[at].Retired == nil {
			continue
		}
		if k.Retired == nil || *k.Retired != *before.Keys[at].Retired {
			return invalid("record.keys[%d].retired: expected %d, it never changes while the key is listed", i, *before.Keys[at].Retired)
		}
	}
	return nil
}

// checkIat compares with the leader's clock, not with registry time: that is ahead, perhaps for long, once
// a leader's clock was (DESIGN 6, rule 5).
func checkIat(iat int64, clock, now Millis, p *Policy) error {
	if clock == 0 {
		clock = now
	}
	if d := iat - clock.Unix(); d > p.MaxClockSkew || -d > p.MaxClockSkew {
		return invalid("payload.iat is %d: expected at most %d s from the registry's clock, %d", iat, p.MaxClockSkew, clock.Unix())
	}
	return nil
}
