package registry

import (
	"crypto/sha256"
	"time"
)

var quotaScenarios = map[string]scenario{
	"invalid_quota_hour": {"10 operations an hour; a recover still passes (DESIGN 6, rule 7)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		var op *Operation
		for range 9 {
			op = s.do("b", s.draft(Update, passport(s, "a b")))
		}
		s.now = start.Add(time.Hour) - 1
		s.refuse(Quota, "10 operations an hour", "a", s.draft(Update, passport(s, "a b")))
		s.retry(time.Millisecond)
		s.refuseText(BadSignature, "", s.forge("a", s.draft(Update, passport(s, "a b"))))
		s.do("a", s.undo(op, passport(s, "a b")))
		s.now = start.Add(time.Hour)
		s.do("a", s.draft(Update, passport(s, "a b"))) // the create is an hour old
		s.now = start.Add(time.Hour) + 1
		s.refuse(Quota, "10 operations an hour", "a", s.draft(Update, passport(s, "a b")))
		s.retry(time.Second - time.Millisecond) // until the first update is
	}},
	"invalid_quota_day": {"30 operations a day (DESIGN 6, rule 7)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		for i := range 29 {
			s.now = start.Add(time.Duration(i/9+1) * time.Hour).Add(time.Duration(i%9) * time.Second)
			s.do("a", s.draft(Update, passport(s, "a")))
		}
		s.now = start.Add(12 * time.Hour)
		s.refuse(Quota, "30 operations a day", "a", s.draft(Update, passport(s, "a")))
		s.retry(12 * time.Hour)
		s.now = start.Add(24*time.Hour) - 1
		s.refuse(Quota, "30 operations a day", "a", s.draft(Deactivate, nil))
		s.retry(time.Millisecond)
		s.now++
		s.do("a", s.draft(Update, passport(s, "a")))
	}},
	"invalid_quota_deactivations": {"3 deactivations a day, undone ones too (DESIGN 6, rule 7)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		for range 3 {
			stop := s.do("b", s.draft(Deactivate, nil))
			s.do("a", s.undo(stop, passport(s, "a b")))
		}
		s.refuse(Quota, "3 deactivations a day", "b", s.draft(Deactivate, nil))
		s.retry(24*time.Hour - 6*time.Second)
		s.do("b", s.draft(Update, passport(s, "a b")))
	}},
	"invalid_quota_longest_wait": {"the wait told is the longest of those due (DESIGN 6, rule 7)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		for hour, n := range []int{0, 10, 9, 10} {
			s.now = max(s.now, start.Add(time.Duration(hour)*time.Hour))
			for range n {
				s.do("a", s.draft(Update, passport(s, "a")))
			}
		}
		s.refuse(Quota, "30 operations a day", "a", s.draft(Update, passport(s, "a"))) // the hour's is used up too
		s.retry(time.Duration(start.Add(24*time.Hour)-s.now) * time.Millisecond)
	}},
}

// retry fails unless the last refusal said when to come again.
func (s *scene) retry(want time.Duration) {
	s.Helper()
	if s.last == nil || s.last.RetryAfter != want {
		s.Errorf("retry after %v: expected %v", s.last.RetryAfter, want)
	}
}

// In each of these two or more things are wrong, and the one that DESIGN 6 names first is told.
var orderScenarios = map[string]scenario{
	"invalid_order_form_first": {"400 form comes before 421 home and all that follows", func(s *scene) {
		content := s.draft(Create, passport(s, "b"))
		content.Country = "de"
		s.refuseText(Invalid, "payload.v", s.edit("a", content, `"v":1`, `"v":2`))
		s.refuseText(Invalid, "record.rotation", s.edit("a", content, `["`+string(key(s, "b").multikey())+`"]`, `[]`))
	}},
	"invalid_order_home": {"421 home comes before 404, 403 and 400 iat", func(s *scene) {
		content := Content{Act: Update, ID: NewID("de", OpIDOf(sha256.Sum256(nil))), Prev: OpIDOf(sha256.Sum256(nil)), Seq: 9, Iat: 1, Record: passport(s, "a")}
		s.refuseText(Misdirected, "", s.forge("b", content))
		content = s.draft(Create, passport(s, "a")).after(-9999)
		content.Country = "de"
		s.refuseText(Misdirected, "", s.forge("b", content))
	}},
	"invalid_order_not_found": {"404 comes before 403 and 400 iat", func(s *scene) {
		content := Content{Act: Update, ID: NewID("fr", OpIDOf(sha256.Sum256(nil))), Prev: OpIDOf(sha256.Sum256(nil)), Seq: 9, Iat: 1, Record: passport(s, "a")}
		s.refuseText(NotFound, "", s.forge("b", content))
	}},
	"invalid_order_gone": {"410 comes before 409 prev and 400 seq", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a b")))
		s.do("a", s.draft(Deactivate, nil))
		content := s.draft(Update, passport(s, "c")).after(-9999)
		content.Prev, content.Seq = s.id.Create(), 9
		s.refuseText(Gone, "", s.forge("c", content))
		content.Act = Erase // which may come, but not so
		s.refuseText(Conflict, "", s.forge("c", content))
	}},
	"invalid_order_conflict": {"409 prev comes before 400 seq, 403 and 400 iat", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		s.do("a", s.draft(Update, passport(s, "a")))
		content := s.draft(Update, organisation(s, "c", "Vault")).after(-9999)
		content.Prev, content.Seq = s.id.Create(), 1
		s.refuseText(Conflict, "", s.forge("c", content))
	}},
	"invalid_order_seq": {"400 seq comes before 403", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		content := s.draft(Update, passport(s, "a"))
		content.Seq = 7
		s.refuseText(Invalid, "payload.seq", s.forge("b", content))
	}},
	"invalid_order_signer": {"403 signer comes before 403 signature and 400 iat", func(s *scene) {
		s.refuseText(Forbidden, "rotation", s.forge("b", s.draft(Create, passport(s, "a")).after(-9999)))
		s.do("a", s.draft(Create, passport(s, "a")))
		s.refuseText(Forbidden, "rotation", s.forge("b", s.draft(Update, organisation(s, "b", "Vault")).after(-9999)))
		s.refuseText(Forbidden, "deactivated", s.forge("a", s.draft(Erase, nil)))
		op := s.do("a", s.draft(Update, passport(s, "a")))
		s.refuseText(Forbidden, "stronger", s.forge("a", s.undo(op, passport(s, "a"))))
	}},
	"invalid_order_signature": {"403 signature comes before 400 iat and whatever else state says", func(s *scene) {
		r := passport(s, "a")
		r.Keys[0].Retired = new(s.now.Unix() + 60)
		s.refuseText(BadSignature, "", s.forge("a", s.draft(Create, r).after(-9999)))
		x, other := disclosure(s, strand("x", Granted)), strand("x", Public)
		other.Path = "elsewhere"
		s.do("a", s.draft(Create, passport(s, "a", x)), x)
		// Who has no key must not find out that a granted strand is called x.
		y := disclosure(s, other)
		s.refuseText(BadSignature, "", s.forge("a", s.draft(Update, passport(s, "a", x, y)), y))
		s.refuseText(BadSignature, "", s.forge("a", s.draft(Update, organisation(s, "a", "Vault"))))
	}},
	"invalid_order_iat": {"400 iat comes before 429", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		for range 9 {
			s.do("a", s.draft(Update, passport(s, "a")))
		}
		s.refuse(Invalid, "payload.iat", "a", s.draft(Update, passport(s, "a")).after(-9999))
		s.refuse(Quota, "", "a", s.draft(Update, passport(s, "a")))
	}},
}
