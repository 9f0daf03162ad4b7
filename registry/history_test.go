package registry

import "testing"

func TestHistoryOfNothing(t *testing.T) {
	t.Parallel()
	h := NewHistory(policy(t, "fr"))
	id := NewID("fr", provider().Create())
	if h.Lineage(id) != nil || h.InForce(id) != nil || h.Operations(id) != nil || h.Held(id) != nil || h.Acceptance(id, decoys(1)[0]) != nil {
		t.Error("there is something of a record that never was")
	}
	if a, standing := h.Accreditation(id); a != (Accreditation{}) || standing != OrgPending {
		t.Errorf("%+v, %s", a, standing)
	}
}

// A policy that comes into force binds what comes after it.
func TestHistoryUnderAnotherPolicy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.do("a", s.draft(Create, passport(t, "a b")))
	weak := s.do("b", s.draft(Update, passport(t, "a b")))
	short := *policy(t, "fr")
	short.RecoveryWindow, short.PerHour = 1, 3
	s.h.SetPolicy(&short)
	s.do("b", s.draft(Update, passport(t, "a b")))
	s.refuse(Quota, "3 operations an hour", "b", s.draft(Update, passport(t, "a b")))
	s.refuse(Forbidden, "at most 1s old", "a", s.undo(weak, passport(t, "a b")))
}
