package check

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// A history is written as a table of calls at whole milliseconds.

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func opID(n int) registry.OpID {
	if n == 0 {
		return ""
	}
	return registry.OpID(fmt.Sprintf("op%d", n))
}

// wrote is operation n, which builds on n-1, acknowledged with index 10n.
func wrote(client, call, ret, n int) Event {
	return Event{Client: client, Node: "n1", Call: ms(call), Return: ms(ret), Action: Submit, Op: opID(n), Prev: opID(n - 1),
		Outcome: OK, Seq: uint64(n - 1), Position: uint64(n), Index: uint64(10 * n)}
}

func lost(client, call, n int) Event {
	e := wrote(client, call, 0, n)
	e.Return, e.Outcome, e.Position, e.Index = Open, Unknown, 0, 0
	return e
}

func refused(client, call, ret, n, prev int, kind registry.Kind, head int) Event {
	return Event{Client: client, Node: "n2", Call: ms(call), Return: ms(ret), Action: Submit, Op: opID(n), Prev: opID(prev),
		Outcome: Refused, Refusal: kind, Head: opID(head)}
}

// saw is a read that showed operation n; 0 is "not found".
func saw(client, call, ret, n int, level wire.Consistency) Event {
	e := Event{Client: client, Node: "n3", Call: ms(call), Return: ms(ret), Action: Read, Level: level, Outcome: OK, Head: opID(n)}
	if n == 0 {
		e.Outcome, e.Refusal = Refused, registry.NotFound
		return e
	}
	e.Seq, e.Position = uint64(n-1), uint64(n)
	return e
}

func with(e Event, change func(*Event)) Event {
	change(&e)
	return e
}

const lin, bounded, stale = wire.Linearizable, wire.Bounded, wire.Stale

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		events []Event
		want   []Fault
	}{
		{"one after the other", []Event{wrote(1, 0, 1, 1), saw(2, 2, 3, 1, lin), wrote(1, 4, 5, 2), saw(2, 6, 7, 2, lin)}, nil},
		{"a read beside a write shows either", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 9, 2), saw(2, 3, 4, 1, lin), saw(3, 5, 6, 2, lin)}, nil},
		{"a loser is told of the winner", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 5, 2), refused(2, 2, 6, 7, 1, registry.Conflict, 2)}, nil},
		{"the same operation again", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 3, 2), wrote(2, 4, 5, 1), saw(2, 6, 7, 2, lin)}, nil},
		{"unknown, and seen later", []Event{wrote(1, 0, 1, 1), lost(1, 2, 2), saw(2, 50, 51, 1, lin), saw(2, 90, 91, 2, lin)}, nil},
		{"unknown, and never", []Event{wrote(1, 0, 1, 1), lost(1, 2, 2), saw(2, 50, 51, 1, lin)}, nil},
		{"unknown, then confirmed by a second call", []Event{wrote(1, 0, 1, 1), lost(1, 2, 2), wrote(1, 9, 10, 2), saw(2, 11, 12, 2, lin)}, nil},
		{"unknown, overtaken by another", []Event{wrote(1, 0, 1, 1), refused(1, 20, 21, 9, 8, registry.Conflict, 2), lost(1, 2, 2), saw(2, 22, 23, 2, lin)}, nil},
		{"not there yet", []Event{saw(2, 0, 1, 0, lin), refused(2, 2, 3, 2, 1, registry.NotFound, 0), wrote(1, 4, 5, 1)}, nil},
		{"stale within what it says", []Event{wrote(1, 0, 1, 1), with(saw(2, 1500, 1501, 0, stale), func(e *Event) { e.Staleness = 2 * time.Second })}, nil},
		{"stale on a node that does not know", []Event{wrote(1, 0, 1, 1), with(saw(2, 1500, 1501, 0, stale), func(e *Event) { e.Staleness = UnknownStaleness })}, nil},

		{"a lost write", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 3, 2), refused(2, 4, 5, 7, 1, registry.Conflict, 1)}, []Fault{FalseRefusal}},
		{"a lost write, seen by a read", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 3, 2), saw(2, 4, 5, 1, lin)}, []Fault{StaleRead, Staler}},
		{"two winners", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 3, 2), with(wrote(2, 4, 5, 3), func(e *Event) { e.Prev = opID(1) })}, []Fault{NotLinearizable}},
		{"a write that none submitted", []Event{wrote(1, 0, 1, 1), saw(2, 2, 3, 5, lin)}, []Fault{StaleRead}},
		{"a linearizable read goes back", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 9, 2), saw(2, 3, 4, 2, lin), saw(3, 5, 6, 1, lin)}, []Fault{StaleRead}},
		{"a linearizable read finds nothing", []Event{wrote(1, 0, 1, 1), saw(2, 3, 4, 0, lin)}, []Fault{StaleRead, Staler}},
		{"refused though it was the head", []Event{wrote(1, 0, 1, 1), refused(1, 2, 3, 2, 1, registry.Conflict, 1)}, []Fault{FalseRefusal}},
		{"not found though it was made", []Event{wrote(1, 0, 1, 1), refused(1, 2, 3, 2, 1, registry.NotFound, 0)}, []Fault{FalseRefusal}},
		{"refused by what a read has shown to be past", []Event{wrote(1, 0, 1, 1), lost(1, 2, 2), saw(2, 5, 6, 2, lin), refused(2, 7, 8, 3, 2, registry.Conflict, 1)}, []Fault{FalseRefusal}},
		{"forbidden", []Event{wrote(1, 0, 1, 1), refused(1, 2, 3, 2, 1, registry.Forbidden, 0)}, []Fault{FalseRefusal}},
		{"gone", []Event{wrote(1, 0, 1, 1), refused(1, 2, 3, 2, 1, registry.Gone, 0)}, []Fault{FalseRefusal}},
		{"a known operation refused", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 3, 2), refused(2, 4, 5, 2, 1, registry.Conflict, 2)}, []Fault{FalseRefusal}},
		{"a conflict with a head of the future", []Event{wrote(1, 0, 1, 1), refused(2, 2, 3, 7, 6, registry.Conflict, 2), wrote(1, 4, 5, 2)}, []Fault{FalseRefusal}},

		{"own write vanished", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 3, 2),
			with(saw(1, 4, 5, 1, stale), func(e *Event) { e.MinIndex, e.Staleness = 20, time.Minute })}, []Fault{OwnWriteGone}},
		{"own record vanished", []Event{wrote(1, 0, 1, 1),
			with(saw(1, 4, 5, 0, bounded), func(e *Event) { e.MinIndex, e.Staleness = 10, time.Second })}, []Fault{OwnWriteGone}},
		{"staler than it says", []Event{wrote(1, 0, 1, 1), wrote(1, 2, 3, 2),
			with(saw(2, 2500, 2501, 1, bounded), func(e *Event) { e.Staleness = 2 * time.Second })}, []Fault{Staler}},
		{"bounded and too old", []Event{wrote(1, 0, 1, 1), with(saw(2, 2, 3, 1, bounded), func(e *Event) { e.Staleness = 6 * time.Second })}, []Fault{TooStale}},
		{"bounded on a node that does not know", []Event{wrote(1, 0, 1, 1), with(saw(2, 2, 3, 1, bounded), func(e *Event) { e.Staleness = UnknownStaleness })}, []Fault{TooStale}},
		{"not a word of staleness", []Event{wrote(1, 0, 1, 1), with(saw(2, 2, 3, 1, stale), func(e *Event) { e.Staleness = NoStaleness })}, []Fault{TooStale}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &Subject{ID: "did:dcann:xa:b", Events: tc.events}
			v := Judge(s, time.Second)
			if v.Undecided {
				t.Fatal("undecided")
			}
			var got []Fault
			for _, violation := range v.Violations {
				got = append(got, violation.Kind)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v: expected %v", v.Violations, tc.want)
			}
			var page bytes.Buffer
			if err := Draw(s, time.Second, &page); err != nil || !bytes.Contains(page.Bytes(), []byte("<html")) {
				t.Errorf("drawing it: %v", err)
			}
		})
	}
}

// TestManyUnknown: a partition leaves so many writes open that a search that tries all of them would not end.
func TestManyUnknown(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		last int
		want []Fault
	}{
		{"one of them took effect", 102, nil},
		{"none did", 1, nil},
		{"one that was never sent", 200, []Fault{StaleRead}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			events := []Event{wrote(1, 0, 1, 1)}
			for i := range 60 {
				e := lost(1, 2+i, 100+i/3)
				e.Prev = opID(1)
				events = append(events, e)
			}
			read := saw(2, 900, 901, tc.last, lin)
			if tc.last > 1 {
				read.Seq = 1
			}
			v := Judge(&Subject{Events: append(events, read, with(read, func(e *Event) { e.Call, e.Return = ms(902), ms(903) }))}, 5*time.Second)
			var got []Fault
			for _, violation := range v.Violations {
				got = append(got, violation.Kind)
			}
			if v.Undecided || !slices.Equal(got, tc.want) {
				t.Errorf("got %+v: expected %v", v, tc.want)
			}
		})
	}
}

// TestLedger: the same operation twice, or two at one place, on whatever passports.
func TestLedger(t *testing.T) {
	t.Parallel()
	one := &Subject{ID: "one", Events: []Event{wrote(1, 0, 1, 1), lost(1, 2, 2), saw(1, 3, 4, 1, stale), saw(2, 5, 6, 0, stale)}}
	for _, tc := range []struct {
		name  string
		other Event
		want  int
	}{
		{"another operation elsewhere", wrote(1, 2, 3, 3), 0},
		{"the same at the same place", wrote(2, 9, 10, 1), 0},
		{"the same elsewhere", with(wrote(2, 9, 10, 1), func(e *Event) { e.Position = 5 }), 1},
		{"another at the same place", with(saw(2, 9, 10, 4, stale), func(e *Event) { e.Position = 1 }), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var l Ledger
			if found := l.Enter(one); len(found) > 0 {
				t.Fatal(found)
			}
			if found := l.Enter(&Subject{ID: "two", Events: []Event{tc.other}}); len(found) != tc.want {
				t.Errorf("got %v: expected %d violations", found, tc.want)
			}
		})
	}
}
