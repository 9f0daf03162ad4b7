package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry/jws"
)

// scene plays a history and takes down every step of it, so that it can become a file of testdata. Its
// fields say where it stands: the record that drafts are for, and the registry time.
type scene struct {
	*testing.T
	h    *History
	id   ID
	now  Millis
	ids  []ID // of all records, in the order of their creation
	file history
	last *Error // the last refusal by the rules
}

func newScene(t *testing.T) *scene {
	p := policy(t, "fr")
	msg := must(p.Sign(key(t, "registry")))(t)
	return &scene{T: t, h: NewHistory(p), now: start, file: history{Policy: msg.Compact()}}
}

// draft is the content of an operation at the end of the record's history, at the scene's time.
func (s *scene) draft(act Act, r *Record) Content {
	content := Content{Act: act, Country: "fr", Iat: s.now.Unix(), Record: r}
	if l := s.h.Lineage(s.id); l != nil && act != Create {
		content.ID, content.Prev, content.Seq = s.id, l.Head, l.Seq+1
	}
	return content
}

// undo is a recover of op with record r.
func (s *scene) undo(op *Operation, r *Record) Content {
	content := s.draft(Recover, r)
	content.Undo = op.Name
	return content
}

// sign makes the text of an operation without looking whether it will parse.
func (s *scene) sign(signer string, content Content, ds ...Disclosure) []byte {
	s.Helper()
	return s.edit(signer, content, "", "", ds...)
}

// edit is sign after replacing a part of the payload.
func (s *scene) edit(signer string, content Content, part, by string, ds ...Disclosure) []byte {
	s.Helper()
	payload := string(must(content.encode())(s))
	if !strings.Contains(payload, part) {
		s.Fatalf("no %s in %s", part, payload)
	}
	payload = strings.Replace(payload, part, by, 1)
	msg := must(jws.Sign(key(s, signer), string(key(s, signer).multikey()), TypOperation, []byte(payload)))(s)
	return AppendOperation(nil, msg, ds)
}

// post submits the text of an operation and takes the step down.
func (s *scene) post(raw []byte, known bool, kind Kind, says string) *Operation {
	s.Helper()
	st := step{Time: s.now, Operation: string(raw), Known: known, Error: kind, Says: says}
	op, o, err := st.submitOperation(s.h)
	s.took(st, o, err)
	if err == nil && !known {
		s.id = op.ID
		if op.Act == Create {
			s.ids = append(s.ids, op.ID)
		}
	}
	return op
}

// took compares what happened with what the step expects, and moves on by a second unless it was refused.
func (s *scene) took(st step, o Outcome, err error) {
	s.Helper()
	s.last = nil
	errors.As(err, &s.last)
	if s.last != nil {
		st.Head, st.Country, st.RetryAfter = s.last.Head, s.last.Country, s.last.RetryAfter.Milliseconds()
	}
	st.compare(s, o, err)
	s.file.Steps = append(s.file.Steps, st)
	if err == nil {
		s.now += 1000
	}
}

// do submits what must be accepted.
func (s *scene) do(signer string, content Content, ds ...Disclosure) *Operation {
	s.Helper()
	op := s.post(s.sign(signer, content, ds...), false, "", "")
	if op == nil {
		s.FailNow()
	}
	return op
}

// again submits what is known, with any disclosures.
func (s *scene) again(op *Operation, ds ...Disclosure) {
	s.Helper()
	s.post(AppendOperation(nil, op.Message(), ds), true, "", "")
}

// refuse submits what must be refused, with a message that says so.
func (s *scene) refuse(kind Kind, says, signer string, content Content, ds ...Disclosure) {
	s.Helper()
	s.post(s.sign(signer, content, ds...), false, kind, says)
}

// refuseText submits the text of an operation that must be refused.
func (s *scene) refuseText(kind Kind, says string, raw []byte) {
	s.Helper()
	s.post(raw, false, kind, says)
}

func (s *scene) wait(d time.Duration) { s.now = s.now.Add(d) }

// head is the head of the scene's record.
func (s *scene) head() OpID { return s.h.Lineage(s.id).Head }

// status submits a status statement; kind is empty if it must be accepted.
func (s *scene) status(kind Kind, says, signer string, c StatusContent) {
	s.Helper()
	if c.Iat == 0 {
		c.Iat = s.now.Unix()
	}
	s.statusText(kind, says, must(c.Sign(key(s, signer)))(s).Compact(), false)
}

func (s *scene) statusText(kind Kind, says, text string, known bool) {
	s.Helper()
	st := step{Time: s.now, Status: text, Known: known, Error: kind, Says: says}
	o, err := st.submitStatement(s.h)
	s.took(st, o, err)
}

// accept submits an acceptance by the key called keyID of its issuer; kind is empty if it must be accepted.
func (s *scene) accept(kind Kind, says, signer, keyID string, c AcceptanceContent) string {
	s.Helper()
	if c.Iat == 0 {
		c.Iat = s.now.Unix()
	}
	if c.Accepted == nil {
		c.Accepted = new(true)
	}
	text := must(c.Sign(key(s, signer), keyID))(s).Compact()
	s.acceptText(kind, says, text, false)
	return text
}

func (s *scene) acceptText(kind Kind, says, text string, known bool) {
	s.Helper()
	st := step{Time: s.now, Acceptance: text, Known: known, Error: kind, Says: says}
	o, err := st.submitStatement(s.h)
	s.took(st, o, err)
}
