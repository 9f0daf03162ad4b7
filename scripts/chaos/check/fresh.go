package check

import (
	"fmt"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// freshness checks what every read promises whatever its consistency: an answer shows at least all that was
// acknowledged before the call, less the staleness it states, and all that min_index covers.
func freshness(s *Subject) []Violation {
	var found []Violation
	say := func(kind Fault, e *Event, format string, args ...any) {
		detail := fmt.Sprintf("%s read at %s by client %d, called %v: ", e.Level, e.Node, e.Client, e.Call)
		found = append(found, Violation{kind, s.ID, detail + fmt.Sprintf(format, args...)})
	}
	acks := s.Acked()
	for i := range s.Events {
		e := &s.Events[i]
		if !e.shows() {
			continue
		}
		if e.Outcome == OK && e.Staleness == NoStaleness {
			say(TooStale, e, "the answer does not state how stale it is")
			continue
		}
		if e.Level == wire.Bounded && e.Staleness > registry.MaxStaleness {
			say(TooStale, e, "it says it is %v stale", e.Staleness)
		}
		for op, ack := range acks {
			switch {
			case e.reaches(ack.Seq):
			case e.MinIndex >= ack.Index && ack.Index > 0:
				say(OwnWriteGone, e, "waited for index %d, shows %s; %s was acknowledged with index %d", e.MinIndex, e.seen(), op, ack.Index)
			case e.Staleness != NoStaleness && ack.Return < e.Call-e.Staleness:
				say(Staler, e, "says %v, shows %s; %s was acknowledged %v before", e.Staleness, e.seen(), op, (e.Call - ack.Return).Round(time.Millisecond))
			}
		}
	}
	return found
}

func (e *Event) seen() string {
	if e.Outcome != OK {
		return "no record"
	}
	return fmt.Sprintf("seq %d", e.Seq)
}
