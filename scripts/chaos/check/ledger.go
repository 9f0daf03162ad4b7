package check

import (
	"fmt"

	"github.com/dcann/dcann/registry"
)

// Ledger remembers which operation each position of the journal was said to hold. The zero value is ready.
// It belongs to one goroutine.
type Ledger struct {
	at map[uint64]registry.OpID
	of map[registry.OpID]uint64
}

// Enter takes in what a subject's events say of positions and returns what contradicts the rest.
func (l *Ledger) Enter(s *Subject) []Violation {
	if l.at == nil {
		l.at, l.of = map[uint64]registry.OpID{}, map[registry.OpID]uint64{}
	}
	var found []Violation
	for i := range s.Events {
		e := &s.Events[i]
		if e.Outcome != OK {
			continue
		}
		op := e.Op
		if e.Action == Read {
			op = e.Head
		}
		if v, ok := l.enter(op, e.Position); !ok {
			found = append(found, Violation{TwoStories, s.ID, v})
		}
	}
	return found
}

func (l *Ledger) enter(op registry.OpID, position uint64) (string, bool) {
	was, known := l.of[op]
	other, taken := l.at[position]
	switch {
	case known && was != position:
		return fmt.Sprintf("operation %s is at position %d and at %d", op, was, position), false
	case taken && other != op:
		return fmt.Sprintf("position %d holds %s and %s", position, other, op), false
	}
	l.of[op], l.at[position] = position, op
	return "", true
}
