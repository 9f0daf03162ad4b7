package api

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// eventPage is how many entries are read from the journal at a time.
const eventPage = 256

// eventQuery is what a follower asks for.
type eventQuery struct {
	from   uint64 // first position
	limit  int    // 0: none
	follow bool
	sse    bool
	stale  bool // goes on, however long ago the leader was heard
}

// events answers GET /v1/events: the journal in order, then what comes, as NDJSON or server-sent events. A
// position beyond the end is waited for: it may be one that another node told, which this one has yet to reach.
func (s *Server) events(c echo.Context) error {
	r := c.Request()
	q, fresh, err := readQuery(r, wire.ParamAfter, wire.ParamLimit, wire.ParamFollow)
	if err != nil {
		return err
	}
	want, err := parseEventQuery(r, q)
	if err != nil {
		return err
	}
	want.stale = fresh.level == wire.Stale
	at, err := s.gate(r.Context(), fresh)
	if err != nil {
		return err
	}
	done, err := s.share(r, s.limits.streams)
	if err != nil {
		return err
	}
	defer done()
	if s.streams.Add(1) > int64(s.config.MaxStreams) {
		s.streams.Add(-1)
		return refuse(registry.Unavailable, "%d streams of events are being served already", s.config.MaxStreams)
	}
	s.metrics.streams.Inc()
	defer func() { s.streams.Add(-1); s.metrics.streams.Dec() }()

	w := newStream(c, s.config.WriteTimeout)
	common(w.header())
	w.header()["Content-Type"] = valueNDJSON
	if want.sse {
		w.header()["Content-Type"] = []string{wire.TypeEventStream}
	}
	w.header()["Vary"] = valueVaryAccept
	w.header()["Cache-Control"] = valueNoStore
	w.header()["X-Accel-Buffering"] = []string{"no"} // else some proxies keep a stream back
	at.put(w.header())
	return s.follow(r, w, want)
}

func parseEventQuery(r *http.Request, q url.Values) (want eventQuery, err error) {
	want.follow, want.sse = true, acceptsEvents(r.Header["Accept"])
	after := q.Get(wire.ParamAfter)
	given := q.Has(wire.ParamAfter)
	if last := r.Header.Get(wire.HeaderLastEventID); last != "" {
		after, given = last, true // a reader that connects again sends the URL it began with
	}
	if given {
		n, err := strconv.ParseUint(after, 10, 63)
		if err != nil {
			return want, invalid("after %.24q: expected a position", after)
		}
		want.from = n + 1
	}
	if q.Has(wire.ParamLimit) {
		if want.limit, err = limitOf(q, 0, 1<<31-1); err != nil {
			return want, err
		}
	}
	switch q.Get(wire.ParamFollow) {
	case "true", "":
		if q.Has(wire.ParamFollow) && q.Get(wire.ParamFollow) == "" {
			return want, invalid("follow is empty: expected true or false")
		}
	case "false":
		want.follow = false
	default:
		return want, invalid("follow %.20q: expected true or false", q.Get(wire.ParamFollow))
	}
	return want, nil
}

func acceptsEvents(header []string) bool {
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), wire.TypeEventStream) && qualityOf(params) > 0 {
				return true
			}
		}
	}
	return false
}

// follow writes entries until the limit, the end (if not following), or one of both sides goes away.
func (s *Server) follow(r *http.Request, w *stream, want eventQuery) error {
	heartbeat := time.NewTicker(max(s.config.Heartbeat, time.Millisecond))
	defer heartbeat.Stop()
	var buf []byte
	sent := 0
	for first := true; ; first = false {
		grown := s.state.Grown() // before reading, so that nothing is missed between the two
		page := eventPage
		if want.limit > 0 {
			page = min(page, want.limit-sent)
		}
		entries, err := s.state.Journal(want.from, page)
		if err != nil {
			return err
		}
		buf = buf[:0]
		for i := range entries {
			if buf, err = appendEvent(buf, &entries[i], want.sse); err != nil {
				return err
			}
		}
		if len(entries) > 0 {
			sent += len(entries)
			want.from = entries[len(entries)-1].Position + 1
			heartbeat.Reset(max(s.config.Heartbeat, time.Millisecond))
		}
		if w.write(buf) != nil || (len(entries) > 0 || first) && w.flush() != nil {
			return nil // the reader went away, or stopped reading
		}
		switch {
		case want.limit > 0 && sent >= want.limit, !want.follow && len(entries) < page:
			w.finish()
			return nil
		case len(entries) == page && !s.isClosed():
			continue
		case !want.follow: // cut off, for a good end says that this was all
			return refuse(registry.Unavailable, "this node is being stopped")
		}
		if done := s.pause(r, w, grown, heartbeat.C, want); done {
			return nil
		}
	}
}

// isClosed reports whether the streams are to end: also of a reader so far behind that it never has to wait.
func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// pause waits for the journal to grow and keeps the stream alive meanwhile. done says that it ended: also since this
// node would refuse the request now (DESIGN 9). A heartbeat says that there was nothing to tell, which one that is
// cut off from its leader, or was removed, does not know; another node does.
func (s *Server) pause(r *http.Request, w *stream, grown <-chan struct{}, beat <-chan time.Time, want eventQuery) (done bool) {
	for {
		select {
		case <-grown:
			return false
		case <-beat:
			if !want.stale && s.cluster.Bounded() != nil {
				w.finish()
				return true
			}
			sign := "\n"
			if want.sse {
				sign = ":\n\n"
			}
			if w.write([]byte(sign)) != nil || w.flush() != nil {
				return true
			}
		case <-r.Context().Done():
			return true
		case <-s.closed:
			w.finish()
			return true
		}
	}
}

// eventTypes are the names of journal entries (DESIGN 11).
var eventTypes = map[state.EntryType]wire.EventType{
	state.EntryCreate: wire.EventCreate, state.EntryUpdate: wire.EventUpdate, state.EntryRecover: wire.EventRecover,
	state.EntryDeactivate: wire.EventDeactivate, state.EntryErase: wire.EventErase,
	state.EntryActive: wire.EventActive, state.EntrySuspended: wire.EventSuspended,
	state.EntryRevoked: wire.EventRevoked, state.EntryPending: wire.EventPending,
	state.EntryAccepted: wire.EventAccepted, state.EntryWithdrawn: wire.EventWithdrawn,
}

// appendEvent writes an entry (wire.Event) in one of the two forms.
func appendEvent(dst []byte, e *state.JournalEntry, sse bool) ([]byte, error) {
	kind, ok := eventTypes[e.Type]
	if !ok {
		return dst, refuse(registry.Internal, "journal entry %d has type %d, which has no name", e.Position, e.Type)
	}
	if sse {
		dst = append(dst, "id: "...)
		dst = strconv.AppendUint(dst, e.Position, 10)
		dst = append(dst, "\nevent: "...)
		dst = append(dst, kind...)
		dst = append(dst, "\ndata: "...)
	}
	dst = append(dst, `{"position":`...)
	dst = strconv.AppendUint(dst, e.Position, 10)
	dst = appendMember(dst, "type", kind)
	dst = appendTime(dst, "time", e.Time)
	dst = append(appendName(dst, "subject"), '"')
	dst = append(hex.AppendEncode(dst, e.Subject[:]), '"')
	dst = appendUint(dst, "seq", e.Seq)
	dst, err := appendEventObject(dst, e)
	dst = append(dst, '}', '\n')
	if sse {
		dst = append(dst, '\n')
	}
	return dst, err
}

// appendEventObject adds what is told of organisations alone: who, and the signed object. That of a standing
// is the status, or the operation that made the organisation pending.
func appendEventObject(dst []byte, e *state.JournalEntry) ([]byte, error) {
	if e.ID == "" {
		return dst, nil
	}
	dst = appendMember(dst, "id", e.ID)
	if len(e.Object) == 0 {
		return dst, nil
	}
	msg, err := jws.Parse(e.Object, registry.MaxOperation)
	if err != nil {
		return dst, err
	}
	dst = appendMember(dst, "op", msg.Name())
	if msg.Header().Typ == registry.TypOperation {
		return appendMember(dst, "operation", string(e.Object)+"~"), nil
	}
	return appendMember(dst, "statement", string(e.Object)), nil
}
