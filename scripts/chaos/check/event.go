package check

import (
	"fmt"
	"math"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// Action is what a client asked for.
type Action uint8

// The actions.
const (
	Submit Action = iota // an operation
	Read                 // the record
)

// Outcome is what became of a call.
type Outcome uint8

// The outcomes. A call that certainly never reached a node has none and is not recorded.
const (
	OK      Outcome = iota
	Refused         // definitely, by the rules; Event.Refusal says which
	Unknown         // no answer, or one that says nothing: a write may still take effect
)

func (o Outcome) String() string { return [...]string{"ok", "refused", "unknown"}[o] }

// Open is the Return of a call whose outcome is unknown.
const Open = time.Duration(math.MaxInt64)

// Event.Staleness of an answer that does not say, which is wrong, and of one that says that the node does not
// know, which is right only where any staleness will do.
const (
	NoStaleness      time.Duration = -1
	UnknownStaleness time.Duration = math.MaxInt64 / 2
)

// Event is one call of one client about one passport. Call and Return are times since the run began, on one
// monotonic clock.
type Event struct {
	Client       int
	Node         string
	Call, Return time.Duration

	Action Action
	Op     registry.OpID // submitted
	Prev   registry.OpID // that it builds on; empty for a create
	Level  wire.Consistency
	// MinIndex is what the read waited for; 0 for nothing.
	MinIndex uint64

	Outcome Outcome
	Refusal registry.Kind // if Refused
	// Head and Seq are what a read showed; of a Conflict, Head is what the node said it was.
	Head registry.OpID
	Seq  uint64
	// Position is that of the operation that was submitted, or of the head that was read.
	Position uint64
	// Index is the Dcann-Index of the answer: with a submitted operation, where every node shows it.
	Index     uint64
	Staleness time.Duration // the header Dcann-Staleness
}

// shows reports whether the event tells what the passport is like, its absence included.
func (e *Event) shows() bool {
	return e.Action == Read && (e.Outcome == OK || e.Outcome == Refused && e.Refusal == registry.NotFound)
}

// reaches is whether what the event shows includes the operation with this seq.
func (e *Event) reaches(seq uint64) bool { return e.Outcome == OK && e.Seq >= seq }

// Subject is a passport and what happened to it, in any order.
type Subject struct {
	ID     registry.ID
	Events []Event
}

// Acked is how many operations of the subject some node has acknowledged, each counted once.
func (s *Subject) Acked() map[registry.OpID]Event {
	acked := map[registry.OpID]Event{}
	for _, e := range s.Events {
		if e.Action != Submit || e.Outcome != OK {
			continue
		}
		if first, ok := acked[e.Op]; !ok || e.Return < first.Return {
			acked[e.Op] = e
		}
	}
	return acked
}

// Violation is something that a registry must never do.
type Violation struct {
	Kind   Fault
	ID     registry.ID // empty if it is about no single passport
	Detail string
}

// Fault is a kind of violation, as the summary counts it.
type Fault string

// The kinds of violation.
const (
	NotLinearizable Fault = "not linearizable"   // writes alone contradict each other: lost, or forked
	StaleRead       Fault = "stale linearizable" // the writes are fine, a linearizable read is not
	FalseRefusal    Fault = "false refusal"      // ... a refusal is not
	OwnWriteGone    Fault = "own write vanished" // min_index of a write, and the write is not there
	Staler          Fault = "staler than stated" // less than Dcann-Staleness promises
	TooStale        Fault = "bounded over 5 s"   // or a header is missing
	TwoStories      Fault = "two stories"        // positions disagree
	Lost            Fault = "acknowledged, lost" // at the end, on some node
	Differ          Fault = "states differ"      // at the end, between nodes
	Broken          Fault = "broken answer"      // 500, or one that no node may give
	NoRecovery      Fault = "no recovery"        // healed, and still not well
	Crashed         Fault = "crash of a node"    // a panic
)

// String is one line of a history: who asked whom for what, when, and the answer.
func (e Event) String() string {
	what := fmt.Sprintf("%s read, min_index %d", e.Level, e.MinIndex)
	if e.Action == Submit {
		what = fmt.Sprintf("submit %s on %s", short(e.Op), short(e.Prev))
	}
	ends := "never"
	if e.Return != Open {
		ends = e.Return.Round(time.Microsecond).String()
	}
	return fmt.Sprintf("%v to %s, client %d at %s: %s: %s %s head %s seq %d position %d index %d staleness %v",
		e.Call.Round(time.Microsecond), ends, e.Client, e.Node, what, e.Outcome, e.Refusal, short(e.Head), e.Seq, e.Position, e.Index, e.Staleness)
}

// short is enough of a name to tell it from others of the same passport.
func short(op registry.OpID) string {
	if len(op) < 8 {
		return "-"
	}
	return string(op[len(op)-8:])
}
