package registry

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/dcann/dcann/registry/jws"
)

// active is a status about the scene's record and its head.
func (s *scene) about(status OrgStatus, epoch uint64) StatusContent {
	return StatusContent{Sub: s.id, Head: s.head(), Status: status, Epoch: epoch}
}

var organisationScenarios = map[string]scenario{
	"valid_accreditation": {"an organisation is pending until a status names its head (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a b", "Vault")))
		s.status("", "", "registry", s.about(OrgActive, 1))
		s.do("a", s.draft(Update, organisation(s, "a b", "Vault"))) // the same values: still active
		suspended := s.about(OrgSuspended, 1)
		suspended.Reason = "complaint 17"
		s.status("", "", "registry", suspended)
		s.status("", "", "registry", s.about(OrgActive, 2))
	}},
	"valid_rename": {"an organisation that changes its name is pending again, until a status names a head with it (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a b", "Vault")))
		s.status("", "", "registry", s.about(OrgActive, 1))
		s.do("a", s.draft(Update, organisation(s, "a b", "Vault & Sons")))
		s.standing(OrgPending)
		s.status("", "", "registry", s.about(OrgActive, 1))
		s.standing(OrgActive)
		for _, change := range []func(*Record){
			func(r *Record) { r.LEI = "" }, func(r *Record) { r.Jurisdiction = "be" }, func(r *Record) { r.Domain = "other.example" },
			func(r *Record) { r.Roles = []Role{RoleProvider, RoleAttestor} },
		} {
			r := organisation(s, "a b", "Vault & Sons")
			change(r)
			s.do("a", s.draft(Update, r))
			s.standing(OrgPending)
			s.do("a", s.draft(Update, organisation(s, "a b", "Vault & Sons")))
			s.standing(OrgActive) // a status named a head with these values
			s.wait(time.Hour)
		}
		r := organisation(s, "b a", "Vault & Sons")
		r.Endpoints[0].URL, r.Keys = "https://elsewhere.example/", nil
		s.do("a", s.draft(Update, r)) // keys and endpoints are the provider's own
		s.standing(OrgActive)
	}},
	"valid_rename_undone": {"an organisation renamed by a thief is active again once it recovers (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a b", "Vault")))
		s.status("", "", "registry", s.about(OrgActive, 1))
		theft := s.do("b", s.draft(Update, organisation(s, "b", "Thief")))
		s.standing(OrgPending)
		s.do("a", s.undo(theft, organisation(s, "a b", "Vault")))
		s.standing(OrgActive)
	}},
	"valid_rename_while_suspended": {"suspended stays suspended, whatever the organisation changes (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a b", "Vault")))
		s.status("", "", "registry", s.about(OrgActive, 1))
		s.status("", "", "registry", s.about(OrgSuspended, 1))
		s.do("a", s.draft(Update, organisation(s, "a b", "Vault & Sons")))
		s.standing(OrgSuspended)
	}},
	"valid_status_again": {"a known status changes nothing, also an old one after a new one (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		c := s.about(OrgActive, 1)
		c.Iat = s.now.Unix()
		text := must(c.Sign(key(s, "registry")))(s).Compact()
		s.statusText("", "", text, false)
		s.statusText("", "", text, true)
		s.status("", "", "registry", s.about(OrgSuspended, 1))
		s.statusText("", "", text, true)
		s.wait(time.Hour)
		s.statusText("", "", text, true)
		s.standing(OrgSuspended)
	}},
	"invalid_status_signer": {"statuses are signed by an accreditation key (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		s.status(Forbidden, "accreditation key", "a", s.about(OrgActive, 1))
		s.status(Forbidden, "accreditation key", "sign-1", s.about(OrgActive, 1))
		good := must(s.about(OrgActive, 1).at(s.now).Sign(key(s, "registry")))(s)
		header, payload, sig := good.Parts()
		sig = append([]byte{sig[0] ^ 1}, sig[1:]...)
		s.statusText(BadSignature, "", jws.FromParts(header, payload, sig).Compact(), false)
	}},
	"invalid_status_epoch": {"epoch never falls (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		s.status("", "", "registry", s.about(OrgActive, 4))
		s.status(Conflict, "epoch is 3", "registry", s.about(OrgActive, 3))
		s.status(Conflict, "epoch is 1", "registry", s.about(OrgRevoked, 1))
		s.status("", "", "registry", s.about(OrgSuspended, 4))
	}},
	"invalid_status_after_revoked": {"revoked is final (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		s.status("", "", "registry", s.about(OrgActive, 1))
		s.status("", "", "registry", s.about(OrgRevoked, 1))
		s.do("a", s.draft(Update, organisation(s, "a", "New Vault")))
		for _, status := range []OrgStatus{OrgActive, OrgSuspended, OrgRevoked} {
			s.status(Conflict, "final", "registry", s.about(status, 2))
		}
	}},
	"invalid_status_head": {"a status names an operation of the organisation, an active one with the values of now (DESIGN 6)", func(s *scene) {
		create := s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		c := s.about(OrgActive, 1)
		c.Head = OpIDOf(sha256.Sum256(nil))
		s.status(Conflict, string(s.head()), "registry", c)
		s.do("a", s.draft(Update, organisation(s, "a", "Thief")))
		c.Head = create.Name
		s.status(Conflict, "name", "registry", c) // looked at before the change
		c.Status = OrgSuspended
		s.status("", "", "registry", c)
	}},
	"invalid_status_subject": {"only organisations known here have a status (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		s.status(NotFound, "not an organisation", "registry", s.about(OrgActive, 1))
		c := s.about(OrgActive, 1)
		c.Sub = NewID("fr", OpIDOf(sha256.Sum256(nil)))
		s.status(NotFound, "not an organisation", "registry", c)
		c.Sub = provider()
		s.status(Misdirected, "country de", "registry", c)
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		s.do("a", s.draft(Deactivate, nil))
		s.status(Gone, "deactivated", "registry", s.about(OrgActive, 1))
		s.status("", "", "registry", func() StatusContent { c := s.about(OrgRevoked, 1); c.Head = s.id.Create(); return c }())
	}},
	"invalid_status_iat": {"a status is not older than the one in force, and 10 minutes from the clock at most (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		s.status(Invalid, "iat", "registry", s.about(OrgActive, 1).at(s.now-660_000))
		s.status(Invalid, "iat", "registry", s.about(OrgActive, 1).at(s.now+660_000))
		now := s.now
		s.status("", "", "registry", s.about(OrgActive, 1).at(now))
		s.status(Conflict, "iat", "registry", s.about(OrgSuspended, 1).at(now-1000))
		s.status("", "", "registry", s.about(OrgSuspended, 1).at(now)) // among equals, log order
	}},
	"invalid_status_form": {"a status has its members, and no others (DESIGN 6)", func(s *scene) {
		s.do("a", s.draft(Create, organisation(s, "a", "Vault")))
		payload := string(must(encodeJSON(s.about(OrgActive, 1).at(s.now)))(s))
		payload = strings.Replace(payload, `"v":0`, `"v":1`, 1)
		header := fmt.Sprintf(`{"alg":"Ed25519","kid":"%s","typ":"%s"}`, key(s, "registry").multikey(), TypStatus)
		bad := func(says, part, by string) {
			text := string(s.signText("registry", header, strings.Replace(payload, part, by, 1)))
			s.statusText(Invalid, says, strings.TrimSuffix(text, "~"), false)
		}
		bad("v", `"v":1`, `"v":2`)
		bad("unknown member", `"v":1`, `"v":1,"x":1`)
		bad("duplicate member", `"v":1`, `"v":1,"v":1`)
		bad("status", `"active"`, `"pending"`)
		bad("status", `"active"`, `"Active"`)
		bad("epoch", `"epoch":1`, `"epoch":0`)
		bad("epoch", `"epoch":1`, `"epoch":1.5`)
		bad("epoch", `"epoch":1,`, ``)
		bad("head", `"head":"b`, `"head":"c`)
		bad("sub", `"sub":"did`, `"sub":"DID`)
		bad("reason", `"epoch"`, `"reason":"line\nend","epoch"`)
		bad("reason", `"epoch"`, `"reason":"`+strings.Repeat("x", MaxReason+1)+`","epoch"`)
		bad("null", `"epoch"`, `"reason":null,"epoch"`)
		bad("iat", fmt.Sprintf(`"iat":%d`, s.now.Unix()), `"iat":0`)
		text := string(s.signText("registry", strings.Replace(header, TypStatus, TypAcceptance, 1), payload))
		s.statusText(Invalid, "typ", strings.TrimSuffix(text, "~"), false)
		text = string(s.signText("registry", header, payload))
		s.statusText(Invalid, "", text, false) // a statement has no ~
		s.statusText(TooLarge, "8192", strings.Repeat("x", MaxStatement+1), false)
	}},
}

// at is the content with this iat.
func (c StatusContent) at(now Millis) StatusContent {
	c.Iat = now.Unix()
	return c
}

// standing fails unless the scene's organisation stands so.
func (s *scene) standing(want OrgStatus) {
	s.Helper()
	if _, got := s.h.Accreditation(s.id); got != want {
		s.Errorf("stands as %s: expected %s", got, want)
	}
}

// placed creates a provider whose key sign-1 signs, and a passport with strands x (public) and y
// (granted) placed with it, disclosed, and z, kept from the registry.
func (s *scene) placed() (x, y, z Disclosure, vault ID) {
	s.Helper()
	s.do("p", s.draft(Create, organisation(s, "p", "Vault")))
	vault = s.id
	at := func(id string, v Visibility) Disclosure {
		st := strand(id, v)
		st.Provider = vault
		return disclosure(s, st)
	}
	x, y, z = at("x", Public), at("y", Granted), at("z", Granted)
	s.do("a", s.draft(Create, passport(s, "a b", x, y, z)), x, y)
	return x, y, z, vault
}

// speak is a statement of vault about a strand of the scene's passport.
func (s *scene) speak(vault ID, d Disclosure) AcceptanceContent {
	return AcceptanceContent{Iss: vault, Sub: s.id, Strand: d.Digest}
}

var acceptanceScenarios = map[string]scenario{
	"valid_acceptance": {"a provider accepts a strand, withdraws, and accepts again (DESIGN 6)", func(s *scene) {
		x, y, _, vault := s.placed()
		first := s.accept("", "", "sign-1", "sign-1", s.speak(vault, x))
		s.accept("", "", "sign-1", "sign-1", s.speak(vault, y))
		no := s.speak(vault, x)
		no.Accepted = new(false)
		s.accept("", "", "sign-1", "sign-1", no)
		s.acceptText("", "", first, true)
		s.wait(time.Hour)
		s.acceptText("", "", first, true) // known, and nothing changes
		s.accept("", "", "sign-1", "sign-1", s.speak(vault, y))
	}},
	"invalid_acceptance_parties": {"iss, the strand's provider and the DID in kid agree, and the key is a listed sign key (DESIGN 6)", func(s *scene) {
		x, y, _, vault := s.placed()
		person := s.id
		r := organisation(s, "q", "Other")
		r.Keys = []Key{{ID: "sign-1", Key: key(s, "sign-q").multikey(), Use: []Use{UseSign}}}
		s.do("q", s.draft(Create, r))
		other := s.id
		s.id = person
		s.accept(Forbidden, "is placed with", "sign-q", "sign-1", s.speak(other, x)) // x is public: all may know
		s.accept(NotFound, "no disclosed strand", "sign-q", "sign-1", s.speak(other, y))
		s.accept(BadSignature, "", "sign-q", "sign-1", s.speak(vault, x))
		s.accept(BadSignature, "", "p", "sign-1", s.speak(vault, x)) // its rotation key
		s.accept(Forbidden, "sign key", "sign-1", "sign-2", s.speak(vault, x))
		s.accept(NotFound, "not known here", "sign-1", "sign-1", s.speak(provider(), x))
		s.accept(Forbidden, "not an active record", "grant-1", "grant-1", s.speak(person, x))
		c := s.speak(vault, x)
		c.Sub = NewID("fr", OpIDOf(sha256.Sum256(nil)))
		s.accept(NotFound, "not known here", "sign-1", "sign-1", c)
		c.Sub = NewID("de", OpIDOf(sha256.Sum256(nil)))
		s.accept(Misdirected, "country de", "sign-1", "sign-1", c)
	}},
	"invalid_acceptance_not_held": {"only a disclosed strand can be accepted (DESIGN 6)", func(s *scene) {
		_, _, z, vault := s.placed()
		s.accept(NotFound, "no disclosed strand", "sign-1", "sign-1", s.speak(vault, z))
		s.accept(NotFound, "no disclosed strand", "sign-1", "sign-1", s.speak(vault, Disclosure{Digest: decoys(1)[0]}))
		x := disclosure(s, strand("gone", Public))
		s.accept(NotFound, "no disclosed strand", "sign-1", "sign-1", s.speak(vault, x))
	}},
	"invalid_acceptance_of_dropped": {"a strand that left the record cannot be accepted, though its disclosure is still held (DESIGN 6)", func(s *scene) {
		x, y, z, vault := s.placed()
		s.do("b", s.draft(Update, passport(s, "a b", y, z)))
		s.accept(NotFound, "no disclosed strand", "sign-1", "sign-1", s.speak(vault, x))
	}},
	"invalid_acceptance_probe": {"a stranger learns of a granted strand no more than of a decoy (DESIGN 7)", func(s *scene) {
		_, y, z, vault := s.placed()
		said := make(map[string]bool)
		probe := func(c AcceptanceContent, signer, keyID string) {
			s.accept(NotFound, "", signer, keyID, c)
			said[strings.ReplaceAll(s.last.Error(), string(c.Strand), "")] = true
		}
		for _, d := range []Disclosure{y, z, {Digest: decoys(1)[0]}} {
			c := s.speak(vault, d)
			probe(c, "b", "sign-1")
			probe(c, "b", "sign-9")
			c.Iat = s.now.Unix() - 9999
			probe(c, "b", "sign-1")
			c.Iss = provider()
			probe(c, "b", "sign-1")
		}
		if len(said) != 1 {
			s.Errorf("%d answers can be told apart: %v", len(said), said)
		}
	}},
	"invalid_acceptance_key_retired": {"a retired sign key accepts nothing any more (DESIGN 6, 7)", func(s *scene) {
		x, _, _, vault := s.placed()
		person := s.id
		s.id = vault
		r := organisation(s, "p", "Vault")
		r.Keys[0].Retired = new(s.now.Unix())
		s.do("p", s.draft(Update, r))
		s.id = person
		s.accept(Forbidden, "not retired", "sign-1", "sign-1", s.speak(vault, x))
	}},
	"invalid_acceptance_iat": {"an acceptance is not older than the one in force, and 10 minutes from the clock at most (DESIGN 6)", func(s *scene) {
		x, _, _, vault := s.placed()
		at := func(kind Kind, iat int64, accepted bool) {
			c := s.speak(vault, x)
			c.Iat, c.Accepted = iat, new(accepted)
			s.accept(kind, "", "sign-1", "sign-1", c)
		}
		now := s.now.Unix()
		at(Invalid, now-660, true)
		at(Invalid, now+660, true)
		at("", now, true)
		at(Conflict, now-1, false)
		at("", now, false) // among equals, log order
	}},
	"invalid_acceptance_gone": {"a deactivated passport's strands are not accepted, nor by a deactivated provider (DESIGN 6)", func(s *scene) {
		x, _, _, vault := s.placed()
		person := s.id
		s.id = vault
		s.do("p", s.draft(Deactivate, nil))
		s.id = person
		s.accept(Forbidden, "not an active record", "sign-1", "sign-1", s.speak(vault, x))
		s.do("a", s.draft(Deactivate, nil))
		s.accept(Gone, "deactivated", "sign-1", "sign-1", s.speak(vault, x))
		s.wait(window)
		s.do("a", s.draft(Erase, nil))
		s.accept(Gone, "erased", "sign-1", "sign-1", s.speak(vault, x))
	}},
	"invalid_acceptance_form": {"an acceptance has its members and a kid that names a key of iss (DESIGN 6)", func(s *scene) {
		x, _, _, vault := s.placed()
		kid := string(vault) + "#sign-1"
		payload := fmt.Sprintf(`{"v":1,"iss":"%s","sub":"%s","strand":"%s","accepted":true,"iat":%d}`, vault, s.id, x.Digest, s.now.Unix())
		bad := func(says, kid, part, by string) {
			header := fmt.Sprintf(`{"alg":"Ed25519","kid":"%s","typ":"%s"}`, kid, TypAcceptance)
			text := string(s.signText("sign-1", header, strings.Replace(payload, part, by, 1)))
			s.acceptText(Invalid, says, strings.TrimSuffix(text, "~"), false)
		}
		bad("kid", string(s.id)+"#sign-1", "", "")
		bad("kid", string(vault), "", "")
		bad("kid", string(vault)+"#", "", "")
		bad("kid", kid+"#x", "", "")
		bad("kid", strings.ToUpper(kid), "", "")
		bad("kid", string(key(s, "sign-1").multikey()), "", "")
		bad("accepted", kid, `"accepted":true,`, ``)
		bad("", kid, `"accepted":true`, `"accepted":"true"`)
		bad("null", kid, `"accepted":true`, `"accepted":null`)
		bad("unknown member", kid, `"v":1`, `"v":1,"head":"b"`)
		bad("strand", kid, string(x.Digest), string(x.Digest[1:]))
		bad("strand", kid, string(x.Digest), string(x.Digest[:42])+"=")
		bad("v", kid, `"v":1`, `"v":0`)
		s.acceptText(TooLarge, "8192", strings.Repeat("x", MaxStatement+1), false)
	}},
}
