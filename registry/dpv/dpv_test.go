package dpv

import "testing"

func TestVocabulary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		iri            string
		known, special bool
	}{
		{"https://w3id.org/dpv/pd#PurchasesAndSpendingHabit", true, false},
		{"https://w3id.org/dpv/pd#Biometric", true, true},
		{"https://w3id.org/dpv/pd#BloodType", true, true},
		{"https://w3id.org/dpv/pd#bloodtype", false, false},
		{"https://w3id.org/dpv#ServicePersonalisation", false, false},
		{"iri", false, false},
		{"", false, false},
	} {
		term, ok := PersonalData(c.iri)
		if ok != c.known || term.Special != c.special {
			t.Errorf("PersonalData(%q) = special %v, known %v; want %v, %v", c.iri, term.Special, ok, c.special, c.known)
		}
	}
	if _, ok := Purpose("https://w3id.org/dpv#ServicePersonalisation"); !ok {
		t.Error("ServicePersonalisation is not a purpose")
	}
	if _, ok := Purpose("https://w3id.org/dpv/pd#Biometric"); ok {
		t.Error("a class of personal data is taken for a purpose")
	}
}
