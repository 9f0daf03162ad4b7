package check

import (
	"fmt"
	"io"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what Judge found out about a subject.
type Verdict struct {
	Violations []Violation
	// Undecided is true if the time was over before all linearizations were tried. Such a subject counts
	// as not checked.
	Undecided bool
}

// Judge checks one subject, whose calls have all ended. patience is how long the search for a linearization
// may take; 0 is for ever.
func Judge(s *Subject, patience time.Duration) Verdict {
	var v Verdict
	ops := s.operations()
	switch porcupine.CheckOperationsTimeout(model, ops, patience) {
	case porcupine.Unknown:
		v.Undecided = true
	case porcupine.Illegal:
		kind := classify(ops, patience)
		v.Violations = append(v.Violations, Violation{kind, s.ID, fmt.Sprintf("%d calls have no linearization", len(ops))})
	}
	v.Violations = append(v.Violations, freshness(s)...)
	return v
}

// classify says which calls have to be left out for the rest to make sense.
func classify(ops []porcupine.Operation, patience time.Duration) Fault {
	explains := func(drop func(in, out) bool) bool {
		return porcupine.CheckOperationsTimeout(model, without(ops, drop), patience) == porcupine.Ok
	}
	switch {
	case explains(func(i in, o out) bool { return i.action == Submit && o.outcome == Refused }):
		return FalseRefusal
	case explains(func(i in, _ out) bool { return i.action == Read }):
		return StaleRead
	}
	return NotLinearizable
}

// Draw writes an HTML page that shows the calls of a subject on a time line, and how far an order of them
// makes sense.
func Draw(s *Subject, patience time.Duration, w io.Writer) error {
	_, info := porcupine.CheckOperationsVerbose(model, s.operations(), patience)
	return porcupine.Visualize(model, info, w)
}
