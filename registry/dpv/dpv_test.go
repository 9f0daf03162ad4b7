package dpv

import (
	"slices"
	"strings"
	"testing"
)

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

// The bundled files hold what the code relies on: every term once, under its own IRI, with broader terms
// that are terms, and what is below a special category is one too.
func TestBundledTerms(t *testing.T) {
	t.Parallel()
	const root = "https://w3id.org/dpv#"
	for name, c := range map[string]struct {
		terms  map[string]Term
		prefix string
		least  int
	}{"personal data": {personalData(), root[:len(root)-1] + "/pd#", 200}, "purposes": {purposes(), root, 100}} {
		if len(c.terms) < c.least {
			t.Errorf("%s: %d terms", name, len(c.terms))
		}
		for iri, term := range c.terms {
			if iri != term.IRI || !strings.HasPrefix(iri, c.prefix) || term.Label == "" {
				t.Errorf("%s: %+v", name, term)
			}
			for _, b := range term.Broader {
				broader, known := c.terms[b]
				if !known && !strings.HasPrefix(b, root) {
					t.Errorf("%s: %s is below %q", name, iri, b)
				}
				if broader.Special && !term.Special {
					t.Errorf("%s is below the special category %s, and is none", iri, b)
				}
			}
			if slices.Contains(term.Broader, root+"SpecialCategoryPersonalData") && !term.Special {
				t.Errorf("%s is a special category, and not marked as one", iri)
			}
		}
	}
}
