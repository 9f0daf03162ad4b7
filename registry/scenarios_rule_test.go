package registry

import (
	"bytes"
	"crypto/sha256"
	"time"

	"github.com/dcann/dcann/registry/jws"
)

const window = DefaultRecoveryWindow

var placeScenarios = map[string]scenario{
	"valid_acts": {"every act in its turn (DESIGN 5, 6)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		s.do("b", s.draft(Update, passport(s, "a b c")))
		s.do("c", s.draft(Update, passport(s, "a b c")))
		stop := s.do("c", s.draft(Deactivate, nil))
		s.do("b", s.undo(stop, passport(s, "a b")))
		s.do("a", s.draft(Deactivate, nil))
		s.wait(window)
		s.do("b", s.draft(Erase, nil))
	}},
	"invalid_create_signer": {"a create is signed by a key of its own rotation (DESIGN 6, rule 1)", func(s *scene) {
		s.refuse(Forbidden, "its own rotation", "b", s.draft(Create, passport(s, "a")))
		s.refuse(Forbidden, "its own rotation", "grant-1", s.draft(Create, passport(s, "a")))
	}},
	"invalid_signer": {"update and deactivate are signed by a key of the rotation in force (DESIGN 6, rule 2)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		s.refuse(Forbidden, "rotation", "c", s.draft(Update, passport(s, "a b c"))) // adds itself
		s.refuse(Forbidden, "rotation", "grant-1", s.draft(Update, passport(s, "a b")))
		s.refuse(Forbidden, "rotation", "c", s.draft(Deactivate, nil))
		s.do("a", s.draft(Update, passport(s, "a")))
		s.refuse(Forbidden, "rotation", "b", s.draft(Update, passport(s, "a b"))) // was in the one before
	}},
	"invalid_seq": {"seq is one more than that of the head (DESIGN 6, rule 2)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		s.do("a", s.draft(Update, passport(s, "a")))
		for _, seq := range []uint64{1, 3, 4, 1 << 40, 1<<64 - 1} {
			content := s.draft(Update, passport(s, "a"))
			content.Seq = seq
			s.refuse(Invalid, "expected 2", "a", content)
		}
	}},
	"invalid_prev": {"prev is the head; else it is a conflict that names the head, never a bad signature (DESIGN 6)", func(s *scene) {
		create := s.do("a", s.draft(Create, passport(s, "a")))
		s.do("a", s.draft(Update, passport(s, "a")))
		content := s.draft(Update, passport(s, "a"))
		content.Prev = create.Name
		s.refuse(Conflict, string(s.head()), "a", content)
		content.Prev = OpIDOf(sha256.Sum256(nil))
		s.refuse(Conflict, string(s.head()), "a", content)
		s.refuse(Conflict, string(s.head()), "b", content) // nor is the signer told that he may not
	}},
	"invalid_race": {"of two operations for one head, one wins (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		one, other := s.draft(Update, passport(s, "a b")), s.draft(Update, passport(s, "b a"))
		first := s.do("a", one)
		s.refuse(Conflict, string(first.Name), "b", other)
		s.refuse(Conflict, string(first.Name), "b", one.after(1)) // the same content a second later is another
		s.again(first)
	}},
	"valid_replay": {"the same operation again returns the first result, whatever happened since (DESIGN 6, rule 8)", func(s *scene) {
		x := disclosure(s, strand("x", Public))
		create := s.do("a", s.draft(Create, passport(s, "a b", x)))
		s.again(create)
		s.again(create, x) // nothing is stored
		theft := s.do("b", s.draft(Update, passport(s, "b")))
		s.do("a", s.undo(theft, passport(s, "a b", x)), x)
		s.wait(time.Hour) // iat has aged
		s.again(create)
		s.again(theft) // undone, and known
		s.do("a", s.draft(Deactivate, nil))
		s.again(create)
		s.wait(window)
		erase := s.do("a", s.draft(Erase, nil))
		s.again(erase)
	}},
	"valid_replay_of_another_signature": {"a second signature over the same content is the same operation (DESIGN 4)", func(s *scene) {
		k := key(s, "p256-a")
		op := s.do("p256-a", s.draft(Create, passport(s, "p256-a")))
		header, payload, _ := op.Message().Parts()
		r, low, err := k.sign(append(op.Message().SigningInput(), 0)) // any other signature will do: known comes first
		check(s, err)
		s.post(AppendOperation(nil, jws.FromParts(header, payload, rawSignature(r, low)), nil), true, "", "")
	}},
	"invalid_replay_extra_disclosure": {"a replay is judged for its form like any other (DESIGN 6)", func(s *scene) {
		op := s.do("a", s.draft(Create, passport(s, "a")))
		s.refuseText(Invalid, "", AppendOperation(nil, op.Message(), []Disclosure{disclosure(s, strand("x", Public))}))
	}},
	"invalid_iat": {"iat is at most 10 minutes from the leader's clock (DESIGN 6, rule 5)", func(s *scene) {
		s.refuse(Invalid, "payload.iat", "a", s.draft(Create, passport(s, "a")).after(-660))
		s.refuse(Invalid, "payload.iat", "a", s.draft(Create, passport(s, "a")).after(660))
		s.refuse(Invalid, "payload.iat", "a", s.draft(Create, passport(s, "a")).after(601))
		s.refuse(Invalid, "payload.iat", "a", s.draft(Create, passport(s, "a")).after(-601))
		s.do("a", s.draft(Create, passport(s, "a")))
		s.refuse(Invalid, "payload.iat", "a", s.draft(Update, passport(s, "a")).after(660))
		s.refuse(Invalid, "payload.iat", "a", s.draft(Deactivate, nil).after(-660))
		far := s.draft(Update, passport(s, "a"))
		far.Iat = 1<<63 - 1
		s.refuse(Invalid, "payload.iat", "a", far)
		far.Iat = 0
		s.refuse(Invalid, "payload.iat", "a", far)
	}},
	"valid_iat": {"10 minutes off is still right (DESIGN 6, rule 5)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")).after(600))
		s.do("a", s.draft(Update, passport(s, "a")).after(-600))
	}},
	"invalid_not_found": {"what was never created is not found (DESIGN 6)", func(s *scene) {
		s.id = NewID("fr", OpIDOf(sha256.Sum256(nil)))
		content := Content{Act: Update, ID: s.id, Prev: s.id.Create(), Seq: 1, Iat: s.now.Unix(), Record: passport(s, "a")}
		s.refuse(NotFound, "not known", "a", content)
		content.Act = Deactivate
		s.refuse(NotFound, "not known", "a", content)
	}},
}

// forge is content with a signature that is not the signer's.
func (s *scene) forge(signer string, content Content, ds ...Disclosure) []byte {
	s.Helper()
	op := must(ParseOperation(s.sign(signer, content, ds...)))(s)
	header, payload, sig := op.Message().Parts()
	sig = bytes.Clone(sig)
	sig[1] ^= 1
	return AppendOperation(nil, jws.FromParts(header, payload, sig), ds)
}

// after is the content with another iat.
func (c Content) after(seconds int64) Content {
	c.Iat += seconds
	return c
}

var recoverScenarios = map[string]scenario{
	"valid_recover_at_72h": {"for exactly 72 h a stronger key can undo (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		theft := s.do("b", s.draft(Update, passport(s, "b")))
		s.now = (start + 1000).Add(window)
		s.do("a", s.undo(theft, passport(s, "a c")))
	}},
	"invalid_recover_base_of_recover": {"the base of a recover is that of what it undid, not what it undid (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b c")))
		op := s.do("c", s.draft(Update, passport(s, "x c")))
		grab := s.do("b", s.undo(op, passport(s, "b y")))
		s.refuse(Forbidden, "stronger", "c", s.undo(grab, passport(s, "x")))
		s.refuse(Forbidden, "rotation", "x", s.undo(grab, passport(s, "x"))) // first in what was undone
	}},
	"invalid_recover_after_72h": {"1 ms after 72 h it is too late (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		theft := s.do("b", s.draft(Update, passport(s, "b")))
		s.now = (start + 1000).Add(window) + 1
		s.refuse(Forbidden, "undo", "a", s.undo(theft, passport(s, "a c")))
	}},
	"invalid_recover_rank": {"only a stronger key of the rotation below can undo (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b c")))
		op := s.do("b", s.draft(Update, passport(s, "d b c")))
		s.refuse(Forbidden, "stronger", "b", s.undo(op, passport(s, "b"))) // equal: its own
		s.refuse(Forbidden, "stronger", "c", s.undo(op, passport(s, "c"))) // weaker
		s.refuse(Forbidden, "rotation", "d", s.undo(op, passport(s, "d"))) // added by what it undoes
		s.refuse(Forbidden, "rotation", "e", s.undo(op, passport(s, "e"))) // a stranger
		s.refuse(Forbidden, "rotation", "grant-1", s.undo(op, passport(s, "e")))
		s.do("a", s.undo(op, passport(s, "a b c")))
		s.refuse(Forbidden, "stands", "a", s.undo(op, passport(s, "a"))) // undone already
	}},
	"invalid_recover_create": {"the create cannot be undone (DESIGN 6, rule 3)", func(s *scene) {
		create := s.do("b", s.draft(Create, passport(s, "a b")))
		s.refuse(Forbidden, "not the create", "a", s.undo(create, passport(s, "a")))
	}},
	"invalid_recover_unknown": {"undo names an operation that stands in this record (DESIGN 6, rule 3)", func(s *scene) {
		s.do("b", s.draft(Create, passport(s, "a b")))
		other := s.do("b", s.draft(Update, passport(s, "a b")))
		s.do("b", s.draft(Create, passport(s, "a b c")))
		s.refuse(Forbidden, "stands", "a", s.undo(other, passport(s, "a")))
	}},
	"invalid_recover_strong_through_weak": {"who names an old weak operation must outrank all that was signed above it (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b c")))
		weak := s.do("c", s.draft(Update, passport(s, "a b c")))
		strong := s.do("a", s.draft(Update, passport(s, "a c")))
		s.refuse(Forbidden, string(strong.Name), "b", s.undo(weak, passport(s, "b")))
		s.refuse(Forbidden, "", "a", s.undo(weak, passport(s, "b"))) // nor can a itself: it signed there
		s.refuse(Forbidden, "", "b", s.undo(strong, passport(s, "b")))
	}},
	"valid_recover_of_recover": {"a recover can be undone by a key that is stronger still; what it took off stays off (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b c")))
		op := s.do("c", s.draft(Update, passport(s, "c")))
		grab := s.do("b", s.undo(op, passport(s, "b")))
		s.do("a", s.undo(grab, passport(s, "a")))
	}},
	"invalid_recover_of_strongest": {"a recover by the strongest key is final (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b c")))
		op := s.do("c", s.draft(Update, passport(s, "c")))
		recover := s.do("a", s.undo(op, passport(s, "d c")))
		s.refuse(Forbidden, "stronger", "a", s.undo(recover, passport(s, "a")))
		s.refuse(Forbidden, "stronger", "b", s.undo(recover, passport(s, "b")))
		s.refuse(Forbidden, "rotation", "d", s.undo(recover, passport(s, "d")))
		s.refuse(Forbidden, "stands", "a", s.undo(op, passport(s, "a")))
	}},
	"valid_recover_many": {"recover takes off what it names and everything above it (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		s.do("b", s.draft(Update, passport(s, "a b")))
		first := s.do("b", s.draft(Update, passport(s, "b")))
		s.do("b", s.draft(Update, passport(s, "e"))) // the thief's own keys, absent from the base: weakest
		s.do("e", s.draft(Update, passport(s, "e f")))
		s.do("f", s.draft(Deactivate, nil))
		s.do("a", s.undo(first, passport(s, "a b")))
		s.do("b", s.draft(Update, passport(s, "a b")))
	}},
	"valid_recover_base_of_recover": {"the base of a recover is that of what it undid (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b c")))
		op := s.do("c", s.draft(Update, passport(s, "x c")))
		grab := s.do("b", s.undo(op, passport(s, "b y")))
		later := s.do("y", s.draft(Update, passport(s, "y")))
		s.do("b", s.undo(later, passport(s, "b y")))
		s.do("a", s.undo(grab, passport(s, "a")))
	}},
	"valid_recover_under_window": {"only the age of what is undone counts (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		s.do("b", s.draft(Update, passport(s, "a b")))
		s.wait(window)
		op := s.do("b", s.draft(Update, passport(s, "b")))
		s.wait(window - 2*time.Second)
		s.do("b", s.draft(Update, passport(s, "b")))
		s.do("a", s.undo(op, passport(s, "a"))) // exactly 72 h after op
	}},
	"valid_final_at": {"an operation by the strongest key is final at once, and so is what it signed on top of (DESIGN 6, rule 6)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		s.do("b", s.draft(Update, passport(s, "a b")))
		s.do("a", s.draft(Update, passport(s, "a b")))
	}},
	"valid_final_at_of_recover": {"a recover is judged by its base too: here b is first in what it undoes, but not below that (DESIGN 6, rules 3, 6)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b c")))
		op := s.do("c", s.draft(Update, passport(s, "b c")))
		s.do("b", s.undo(op, passport(s, "b a")))
	}},
	"valid_organisation_recovers": {"an organisation recovers like a person (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a b", "Vault")))
		op := s.do("b", s.draft(Update, organisation(s, "b", "Thief")))
		s.do("a", s.undo(op, organisation(s, "a b", "Vault")))
	}},
}

var endScenarios = map[string]scenario{
	"invalid_update_after_deactivation": {"a deactivated record takes recover and erase only (DESIGN 6)", func(s *scene) {
		create := s.do("a", s.draft(Create, passport(s, "a b")))
		s.do("b", s.draft(Deactivate, nil))
		s.refuse(Gone, "deactivated", "a", s.draft(Update, passport(s, "a b")))
		s.refuse(Gone, "deactivated", "a", s.draft(Deactivate, nil))
		wrong := s.draft(Update, passport(s, "a b"))
		wrong.Prev = create.Name
		s.refuse(Gone, "deactivated", "c", wrong) // 410 before 409 and 403
		s.wait(window)
		s.refuse(Gone, "deactivated", "a", s.draft(Update, passport(s, "a b")))
	}},
	"valid_deactivation_undone": {"a stronger key undoes a deactivation (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		stop := s.do("b", s.draft(Deactivate, nil))
		s.now = (start + 1000).Add(window)
		s.do("a", s.undo(stop, passport(s, "a")))
		s.do("a", s.draft(Update, passport(s, "a")))
	}},
	"invalid_deactivation_by_strongest": {"a deactivation by the strongest key stands (DESIGN 6, rule 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		stop := s.do("a", s.draft(Deactivate, nil))
		s.refuse(Forbidden, "stronger", "a", s.undo(stop, passport(s, "a")))
		s.refuse(Forbidden, "stronger", "b", s.undo(stop, passport(s, "a")))
	}},
	"invalid_erase_by_thief": {"a thief cannot deactivate and erase: 72 h lie between (DESIGN 6, rule 4)", func(s *scene) {
		x := disclosure(s, strand("x", Public))
		s.do("a", s.draft(Create, passport(s, "a b", x)), x)
		s.refuse(Forbidden, "deactivated", "b", s.draft(Erase, nil))
		s.do("b", s.draft(Update, passport(s, "b")))
		stop := s.do("b", s.draft(Deactivate, nil))
		s.refuse(Forbidden, "until", "b", s.draft(Erase, nil))
		s.now = (start + 2000).Add(window)
		s.refuse(Forbidden, "until", "b", s.draft(Erase, nil)) // exactly 72 h: it can still be undone
		s.refuse(Forbidden, "rotation", "a", s.undo(stop, passport(s, "a")))
		s.now++
		s.refuse(Forbidden, "rotation", "a", s.draft(Erase, nil)) // a is not in the last rotation
		s.do("b", s.draft(Erase, nil))
	}},
	"invalid_after_erase": {"after an erase everything is gone, the old create too (DESIGN 6, rule 4)", func(s *scene) {
		x := disclosure(s, strand("x", Public))
		create := s.do("a", s.draft(Create, passport(s, "a b", x)), x)
		stop := s.do("b", s.draft(Deactivate, nil))
		s.wait(window)
		content := s.draft(Erase, nil)
		erase := s.do("b", content)
		s.refuseText(Gone, "erased", create.Bytes())
		s.refuseText(Gone, "erased", stop.Bytes())
		s.refuse(Gone, "erased", "a", s.draft(Update, passport(s, "a")))
		s.refuse(Gone, "erased", "a", s.undo(stop, passport(s, "a")))
		s.refuse(Gone, "erased", "b", s.draft(Erase, nil))
		s.refuse(Gone, "erased", "b", content.after(1))
		s.again(erase)
	}},
	"invalid_erase_organisation": {"an organisation's record stays (DESIGN 6, rule 4)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		s.do("a", s.draft(Deactivate, nil))
		s.wait(window)
		s.refuse(Forbidden, "organisation", "a", s.draft(Erase, nil))
	}},
}
