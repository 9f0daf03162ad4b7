// Package dpv is the bundled, pinned vocabulary in which strands say what kind of personal data they
// hold and organisations say what they want it for: the W3C Data Privacy Vocabulary 2.2 (DESIGN 5).
//
// The terms are compiled in, so that every node of every country judges a record alike; a new edition
// of the vocabulary is a new level of the replicated state. data/README.md names the source and licence.
package dpv

import (
	_ "embed"
	"encoding/csv"
	"strings"
	"sync"
)

// Term is one class of personal data.
type Term struct {
	IRI     string   // https://w3id.org/dpv/pd#…
	Label   string   // in English
	Broader []string // IRIs of the broader terms; none for the topmost
	Special bool     // a special category in the sense of Article 9 of the GDPR
}

//go:embed data/personal-data.csv
var personalDataCSV string

//go:embed data/purposes.csv
var purposesCSV string

var (
	personalData = sync.OnceValue(func() map[string]Term { return load(personalDataCSV) })
	purposes     = sync.OnceValue(func() map[string]Term { return load(purposesCSV) })
)

// PersonalData looks up a class of personal data by its exact IRI. Safe for concurrent use.
func PersonalData(iri string) (Term, bool) {
	t, ok := personalData()[iri]
	return t, ok
}

// Purpose looks up a purpose of processing by its exact IRI; its Special is always false. Safe for
// concurrent use.
func Purpose(iri string) (Term, bool) {
	t, ok := purposes()[iri]
	return t, ok
}

// load reads columns iri, label, broader (";"-separated) and, for personal data, special. The files
// are compiled in: one that does not parse is a defect of the build and panics on first use.
func load(text string) map[string]Term {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		panic("dpv: bundled vocabulary: " + err.Error())
	}
	terms := make(map[string]Term, len(rows))
	for _, row := range rows[1:] {
		t := Term{IRI: row[0], Label: row[1]}
		if row[2] != "" { // the topmost have none
			t.Broader = strings.Split(row[2], ";")
		}
		t.Special = len(row) > 3 && row[3] == "yes"
		terms[t.IRI] = t
	}
	return terms
}
