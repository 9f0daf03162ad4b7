package api

import (
	"strconv"
	"strings"

	"github.com/dcann/dcann/registry/wire"
)

// The representations of DID Resolution by media type. unspecified is what "anything" asks for.
const unspecified = representation(255)

// typeOldResolution, with the profile https://w3id.org/did-resolution, is how drafts of DID Resolution named
// its result. Clients in use still ask for it (the Universal Resolver's front end, Veramo) and read whatever
// JSON comes.
const typeOldResolution = "application/ld+json"

func representationOf(mediaType string) (representation, bool) {
	switch strings.ToLower(mediaType) {
	case wire.TypeResolution, typeOldResolution:
		return asResolution, true
	case wire.TypeDID:
		return asDID, true
	case wire.TypeDIDJSON:
		return asDIDJSON, true
	case wire.TypeDIDLD:
		return asDIDLD, true
	case wire.TypeDereferenced:
		return asDereferenced, true
	case "*/*", "application/*":
		return unspecified, true
	}
	return 0, false
}

// quickAccept is negotiate for the headers that nearly all clients send: none, */* and one exact type.
func quickAccept(header []string) (representation, bool) {
	if len(header) == 0 {
		return asResolution, true
	}
	if len(header) > 1 {
		return 0, false
	}
	as, known := representationOf(header[0])
	if header[0] == "" || as == unspecified {
		return asResolution, true
	}
	return as, known
}

// negotiate finds what an Accept header likes best of what there is: the highest quality, and of equals the
// one named first (RFC 9110, section 12.5.1). Parameters but q are ignored. ok is false if nothing fits.
func negotiate(header []string) (best representation, ok bool) {
	quality, refused := 0.0, make(map[representation]bool)
	named := false
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			named = true
			as, known := representationOf(name)
			q := qualityOf(params)
			switch {
			case known && q == 0:
				refused[as] = true
			case known && q > quality:
				best, quality, ok = as, q, true
			}
		}
	}
	if !named {
		return unspecified, true
	}
	if best == unspecified && refused[asResolution] {
		return 0, false
	}
	return best, ok && !refused[best]
}

// qualityOf is the q among parameters; 1 if there is none or it is no number between 0 and 1.
func qualityOf(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
		}
	}
	return 1
}
