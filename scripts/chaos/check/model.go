package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// A passport to the model is its chain of operations: a byte for each, numbered within the subject, genesis
// first. The empty string is a passport that does not exist.
type chain string

func (c chain) head() byte { return c[len(c)-1] }

// step is one event in the model's terms; in is what was asked, out what was answered.
type (
	in struct {
		action   Action
		op, prev byte // none if there is none
	}
	out struct {
		outcome Outcome
		refusal registry.Kind
		head    byte
		seq     uint64
	}
)

// none is the number of no operation, alien that of one which nobody ever submitted.
const (
	none  = 0
	alien = 255
)

// model is a registry of one passport (DESIGN 6): an operation that is known gives its first result again,
// one that builds on the head becomes the head, everything else is refused and changes nothing.
var model = porcupine.Model{
	Init:  func() any { return chain("") },
	Equal: func(a, b any) bool { return a == b },
	Step: func(state, input, output any) (bool, any) {
		s, i, o := state.(chain), input.(in), output.(out)
		if i.action == Read {
			return read(s, o), s
		}
		return submit(s, i, o)
	},
	DescribeOperation: func(input, output any) string { return describe(input.(in), output.(out)) },
	DescribeState:     func(state any) string { return fmt.Sprintf("%v", []byte(state.(chain))) },
}

func read(s chain, o out) bool {
	if o.outcome == Refused {
		return o.refusal == registry.NotFound && s == ""
	}
	return s != "" && o.head == s.head() && o.seq == uint64(len(s)-1)
}

func submit(s chain, i in, o out) (bool, chain) {
	known := strings.IndexByte(string(s), i.op) >= 0
	fits := s == "" && i.prev == none || s != "" && i.prev == s.head()
	after := s
	if !known && fits {
		after = s + chain(i.op)
	}
	switch o.outcome {
	case Unknown:
		return true, after // placed at the very end it is as if it had never been
	case OK:
		return known || fits, after
	}
	switch o.refusal {
	case registry.NotFound:
		return s == "" && i.prev != none, s
	case registry.Conflict:
		return s != "" && !known && !fits && o.head == s.head(), s
	}
	return false, s // the clients here are entitled to all they ask for, so any other refusal is false
}

func describe(i in, o out) string {
	what := "read"
	if i.action == Submit {
		what = fmt.Sprintf("submit %d on %d", i.op, i.prev)
	}
	switch {
	case o.outcome == Refused && o.refusal == registry.Conflict:
		return fmt.Sprintf("%s: conflict, head %d", what, o.head)
	case o.outcome == Refused:
		return fmt.Sprintf("%s: %s", what, o.refusal)
	case o.outcome == OK && i.action == Read:
		return fmt.Sprintf("read: %d (seq %d)", o.head, o.seq)
	}
	return what + ": " + o.outcome.String()
}

// operations puts the events that the model judges into its terms: all writes, and what linearizable reads
// showed.
func (s *Subject) operations() []porcupine.Operation {
	number := map[registry.OpID]byte{"": none}
	for _, e := range s.Events {
		if _, seen := number[e.Op]; !seen && e.Action == Submit {
			number[e.Op] = byte(len(number))
		}
	}
	numberOf := func(op registry.OpID) byte {
		if n, ok := number[op]; ok {
			return n
		}
		return alien
	}
	if len(number) > alien {
		panic("check: a subject has more operations than the model can number: rotate subjects sooner")
	}
	var ops []porcupine.Operation
	fresh := 0
	for _, e := range s.Events {
		fresh = max(fresh, e.Client+1)
	}
	open := s.open()
	for i, e := range s.Events {
		if e.Action == Read && (e.Level != wire.Linearizable || !e.shows()) || e.Action == Submit && e.Outcome == Unknown && !open[i] {
			continue
		}
		client := e.Client
		if e.Outcome == Unknown { // drawn on a line of its own: the client went on without it
			client, fresh = fresh, fresh+1
		}
		ops = append(ops, porcupine.Operation{
			ClientId: client, Call: int64(e.Call), Return: int64(e.Return),
			Input:    in{e.Action, numberOf(e.Op), numberOf(e.Prev)},
			Output:   out{e.Outcome, e.Refusal, numberOf(e.Head), e.Seq},
			Metadata: e.Node,
		})
	}
	return ops
}

// open are the writes of unknown outcome that can make a difference; each of the others only makes the search
// longer. Of the calls that sent one operation the earliest stands for all, since it may take effect as late
// as any. And an operation that nobody saw, no read, no conflict, no later operation that was itself seen, can
// only have taken effect after everything else, which is as if it had not.
func (s *Subject) open() map[int]bool {
	prev := map[registry.OpID]registry.OpID{}
	for _, e := range s.Events {
		if e.Action == Submit {
			prev[e.Op] = e.Prev
		}
	}
	seen := map[registry.OpID]bool{}
	see := func(op registry.OpID) {
		for op != "" && !seen[op] {
			seen[op] = true
			op = prev[op]
		}
	}
	for _, e := range s.Events {
		see(e.Head)
		if e.Action == Submit && e.Outcome == OK {
			see(e.Op)
		}
	}
	earliest := map[registry.OpID]int{}
	for i, e := range s.Events {
		if e.Action != Submit || e.Outcome != Unknown || !seen[e.Op] {
			continue
		}
		if first, ok := earliest[e.Op]; !ok || e.Call < s.Events[first].Call {
			earliest[e.Op] = i
		}
	}
	open := map[int]bool{}
	for _, i := range earliest {
		open[i] = true
	}
	return open
}

// without are the operations but those that drop says are to be left out.
func without(ops []porcupine.Operation, drop func(in, out) bool) []porcupine.Operation {
	return slices.DeleteFunc(slices.Clone(ops), func(o porcupine.Operation) bool {
		return drop(o.Input.(in), o.Output.(out))
	})
}
