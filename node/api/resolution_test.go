package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// resolved decodes a resolution result.
func resolved(t testing.TB, a answer) wire.Resolution {
	t.Helper()
	var r wire.Resolution
	if got := a.Header.Get("Content-Type"); got != wire.TypeResolution {
		t.Fatalf("%s: content-type %s: %s", a.Request.URL, got, a.body)
	}
	decode(t, a.body, &r)
	return r
}

// failed checks an error of DID Resolution: status, code, and nulls where there is nothing.
func failed(t testing.TB, a answer, code wire.ResolutionCode) {
	t.Helper()
	a.want(t, code.Status())
	if a.Header.Get("Content-Type") == wire.TypeDereferenced {
		var d wire.Dereferencing
		decode(t, a.body, &d)
		if d.Metadata.Error == nil || d.Metadata.Error.Type != wire.ResolutionBase+string(code) || string(d.Content) != "null" || !strings.Contains(string(a.body), `"contentMetadata":{}`) {
			t.Fatalf("%s: %s, expected %s", a.Request.URL, a.body, code)
		}
		return
	}
	r := resolved(t, a)
	if r.Metadata.Error == nil || r.Metadata.Error.Type != wire.ResolutionBase+string(code) || string(r.Document) != "null" || !strings.Contains(string(a.body), `"didDocumentMetadata":{}`) {
		t.Fatalf("%s: %s, expected %s", a.Request.URL, a.body, code)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, provider, _ := f.placed("https://vault.example/")
	path := wire.PathIdentifiers + string(holder.id)

	a := f.get(path).want(t, http.StatusOK)
	r := resolved(t, a)
	var doc wire.Document
	decode(t, r.Document, &doc)
	id := string(holder.id)
	if doc.ID != holder.id || len(doc.Context) != 1 || len(doc.VerificationMethod) != 2 || doc.VerificationMethod[0].ID != id+"#grant-1" ||
		doc.VerificationMethod[0].Type != "Multikey" || doc.VerificationMethod[0].PublicKeyMultibase != string(holder.record.Keys[0].Key) ||
		strings.Join(doc.AssertionMethod, " ") != id+"#grant-1" || strings.Join(doc.Authentication, " ") != id+"#auth-1" {
		t.Errorf("document %s", r.Document)
	}
	if len(doc.Service) != 1 || doc.Service[0].ID != id+"#strand-1" || doc.Service[0].Type != "DataVault" || doc.Service[0].Endpoint[0] != "https://vault.example/s/a/" {
		t.Errorf("services %+v", doc.Service)
	}
	if m := r.DocumentMetadata; m.VersionID != holder.head || m.Created == "" || m.Updated == "" || m.Deactivated || m.NextVersionID != "" {
		t.Errorf("metadata %+v", m)
	}
	if r.Metadata.ContentType != wire.TypeDID {
		t.Errorf("resolution metadata %+v", r.Metadata)
	}

	var org wire.Document
	decode(t, resolved(t, f.get(wire.PathIdentifiers+string(provider.id)).want(t, 200)).Document, &org)
	if len(org.Service) != 1 || org.Service[0].Type != "VaultProvider" || org.Service[0].Endpoint[0] != "https://vault.example/" ||
		strings.Join(org.Authentication, " ") != string(provider.id)+"#sign-1" || org.AssertionMethod != nil {
		t.Errorf("provider's document %+v", org)
	}
}

func TestRepresentations(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, _ := f.passport()
	path := wire.PathIdentifiers + string(holder.id)
	encoded := wire.PathIdentifiers + url.QueryEscape(string(holder.id))
	for accept, want := range map[string]struct{ contentType, context string }{
		"":                    {wire.TypeResolution, "did/v1.1"},
		"*/*":                 {wire.TypeResolution, "did/v1.1"},
		wire.TypeResolution:   {wire.TypeResolution, "did/v1.1"},
		wire.TypeDID:          {wire.TypeDID, "did/v1.1"},
		wire.TypeDIDJSON:      {wire.TypeDIDJSON, ""},
		wire.TypeDIDLD:        {wire.TypeDIDLD, "multikey/v1"},
		wire.TypeDereferenced: {wire.TypeDereferenced, "did/v1.1"},
		"text/html;q=0.9, " + wire.TypeDIDJSON + ";q=0.2": {wire.TypeDIDJSON, ""},
	} {
		for range 2 { // rendered, then from the cache
			a := f.get(path, "Accept", accept).want(t, http.StatusOK)
			if got := a.Header.Get("Content-Type"); got != want.contentType || a.Header.Get("Vary") != "Accept" || a.Header.Get("Etag") == "" {
				t.Errorf("%q: content-type %s, headers %v", accept, got, a.Header)
			}
			if has := strings.Contains(string(a.body), "@context"); has != (want.context != "") || !strings.Contains(string(a.body), want.context) {
				t.Errorf("%q: context of %s", accept, a.body)
			}
		}
		if accept != "" && !strings.Contains(accept, ",") {
			if a := f.get(encoded+"?accept="+url.QueryEscape(accept), "Accept", "text/html").want(t, 200); a.Header.Get("Content-Type") != want.contentType {
				t.Errorf("accept=%s: content-type %s", accept, a.Header.Get("Content-Type"))
			}
		}
	}
	failed(t, f.get(path, "Accept", "text/html"), wire.RepresentationNotSupported)
	failed(t, f.get(encoded+"?accept=text%2Fhtml"), wire.RepresentationNotSupported)
	if a := f.get(encoded).want(t, 200); a.Header.Get("Content-Type") != wire.TypeResolution {
		t.Errorf("percent-encoded: %v", a.Header)
	}
	if a := f.do(http.MethodHead, path, nil).want(t, 200); len(a.body) != 0 || a.ContentLength <= 0 {
		t.Errorf("HEAD: %d bytes, length %d", len(a.body), a.ContentLength)
	}
}

// TestResolutionErrors is the table of the specification, in its order of checks.
func TestResolutionErrors(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, _ := f.passport()
	id := string(holder.id)
	unknown := id[:len(id)-52] + strings.Repeat("a", 52)
	if _, err := registry.ParseID(unknown); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		code wire.ResolutionCode
	}{
		"nothing":                      {"", wire.InvalidDID},
		"no DID":                       {"hello", wire.InvalidDID},
		"no identifier":                {"did:dcann:", wire.InvalidDID},
		"no method":                    {"did::x", wire.InvalidDID},
		"not UTF-8":                    {"did:x:%ff", wire.InvalidDID},
		"an option that is not UTF-8":  {id + "?%ff=1", wire.FeatureNotSupported},
		"a service that is not UTF-8":  {id + "?service=%ff", wire.DIDNotFound},
		"a reference not UTF-8":        {id + "?service=x&relativeRef=%ff", wire.DIDNotFound},
		"method in capitals":           {"did:DCANN:x", wire.InvalidDID},
		"a colon at the end":           {"did:x:y:", wire.InvalidDID},
		"forbidden characters":         {"did:x:%22", wire.InvalidDID},
		"not of our form":              {"did:dcann:zz:b", wire.InvalidDID},
		"another spelling":             {strings.ToUpper(id), wire.InvalidDID},
		"capital in the suffix":        {id[:68] + "A", wire.InvalidDID},
		"country of three":             {"did:dcann:fra:" + id[13:], wire.InvalidDID},
		"another method":               {"did:web:example.com", wire.MethodNotSupported},
		"syntax before method":         {"did:web:?versionId=1", wire.InvalidDID},
		"method before options":        {"did:web:example.com?versionId=&x=1", wire.MethodNotSupported},
		"not known":                    {unknown, wire.DIDNotFound},
		"unknown option":               {id + "?hello=1", wire.FeatureNotSupported},
		"a parameter we lack":          {id + "?hl=z", wire.FeatureNotSupported},
		"unknown before invalid":       {id + "?hello=1&versionId=x", wire.FeatureNotSupported},
		"options before existence":     {unknown + "?versionId=x", wire.InvalidOptions},
		"both versions":                {id + "?versionId=" + string(holder.head) + "&versionTime=2026-01-01T00:00:00Z", wire.InvalidOptions},
		"versionId of no form":         {id + "?versionId=1", wire.InvalidOptions},
		"versionId empty":              {id + "?versionId=", wire.InvalidOptions},
		"versionId twice":              {id + "?versionId=" + string(holder.head) + "&versionId=" + string(holder.head), wire.InvalidOptions},
		"versionId of another":         {id + "?versionId=" + unknown[13:], wire.DIDNotFound},
		"versionTime with fractions":   {id + "?versionTime=2026-01-01T00:00:00.5Z", wire.InvalidOptions},
		"versionTime with offset":      {id + "?versionTime=2026-01-01T00:00:00%2B01:00", wire.InvalidOptions},
		"versionTime of no form":       {id + "?versionTime=yesterday", wire.InvalidOptions},
		"versionTime before the birth": {id + "?versionTime=2020-01-01T00:00:00Z", wire.DIDNotFound},
		"noCache of no form":           {id + "?noCache=yes", wire.InvalidOptions},
		"expandRelativeUrls":           {id + "?expandRelativeUrls=1", wire.InvalidOptions},
		"consistency":                  {id + "?consistency=eventual", wire.InvalidOptions},
		"min_index":                    {id + "?min_index=-1", wire.InvalidOptions},
		"query that is none":           {id + "?versionId=%zz", wire.InvalidOptions},
		"relativeRef alone":            {id + "?relativeRef=a", wire.InvalidDIDURL},
		"no such service":              {id + "?service=nothing", wire.DIDNotFound},
		"no such fragment":             {id + "%23nothing", wire.DIDNotFound},
		"empty fragment":               {id + "%23", wire.InvalidDIDURL},
		"fragment of bad characters":   {id + "%23a%5C", wire.InvalidDIDURL},
		"a path":                       {id + "/path", wire.DIDNotFound},
		"too long":                     {id + "%3Fservice=" + strings.Repeat("a", 2048), wire.InvalidDIDURL},
		"accept that we lack":          {id + "?accept=text/html", wire.RepresentationNotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed(t, f.get(wire.PathIdentifiers+c.path), c.code)
		})
	}
	failed(t, f.get("/1.0/identifiers"), wire.InvalidDID)
	// Foreign identifiers are another country's to answer.
	if p := f.get(wire.PathIdentifiers+"did:dcann:de:"+id[13:]).problem(t, registry.Misdirected); p.Country != "de" {
		t.Errorf("foreign: %+v", p)
	}
}

func TestDeactivatedIsGone(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, _ := f.passport()
	first := holder.head
	path := wire.PathIdentifiers + string(holder.id)
	f.get(path).want(t, http.StatusOK)
	holder.deactivate()
	for range 2 {
		a := f.get(path).want(t, http.StatusGone)
		if r := resolved(t, a); string(r.Document) != "null" || !r.DocumentMetadata.Deactivated || r.Metadata.Error != nil {
			t.Errorf("deactivated: %s", a.body)
		}
	}
	f.get(path, "Accept", wire.TypeDIDJSON).want(t, http.StatusGone)
	f.get(path+"%23grant-1").want(t, http.StatusGone)
	f.get(path+"?service=strand-1").want(t, http.StatusGone)
	f.get(path+"?versionId="+string(first)).want(t, http.StatusOK)
	later := time.Now().Add(time.Hour).UTC().Format(wire.SecondsLayout)
	for _, q := range []string{"?versionId=" + string(holder.head), "?versionTime=" + later} {
		if r := resolved(t, f.get(path+q).want(t, http.StatusGone)); string(r.Document) != "null" || !r.DocumentMetadata.Deactivated {
			t.Errorf("the deactivation, asked for by %s: %+v", q, r)
		}
	}
	f.get(path+"?versionTime="+later+"&service=strand-1").want(t, http.StatusGone)
}

// TestErasedIsGone: of an erased record no version is left, by whatever name it is asked for.
func TestErasedIsGone(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{policy: func(p *registry.Policy) { p.RecoveryWindow = 1 }})
	holder, _ := f.passport()
	first := holder.head
	holder.deactivate()
	erase := holder.sign(func(c *registry.Content) { c.Act = registry.Erase })
	eventually(t, "the end of the time in which the deactivation can be undone", func() bool {
		return f.post(wire.PathOperations, wire.TypeOperation, erase.Bytes()).StatusCode < 300
	})
	holder.head = erase.Name
	later := time.Now().Add(time.Hour).UTC().Format(wire.SecondsLayout)
	for _, q := range []string{"", "?versionId=" + string(first), "?versionId=" + string(holder.head), "?versionTime=" + later} {
		for _, accept := range []string{"", wire.TypeDID} {
			a := f.get(wire.PathIdentifiers+string(holder.id)+q, "Accept", accept).want(t, http.StatusGone)
			if r := resolved(t, a); string(r.Document) != "null" || !r.DocumentMetadata.Deactivated {
				t.Errorf("erased, asked for by %q: %s", q, a.body)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, _ := f.passport()
	first := holder.head
	path := wire.PathIdentifiers + string(holder.id)
	created := resolved(t, f.get(path)).DocumentMetadata.Created
	second := newKey(t)
	holder.update(func(r *registry.Record) { r.Keys[0].Key = second.Public().Multikey() })

	old := resolved(t, f.get(path+"?versionId="+string(first)).want(t, 200))
	if m := old.DocumentMetadata; m.VersionID != first || m.NextVersionID != holder.head || m.NextUpdate == "" || m.Undone || strings.Contains(string(old.Document), string(second.Public().Multikey())) {
		t.Errorf("the first version: %+v %s", m, old.Document)
	}
	now := resolved(t, f.get(path+"?versionId="+string(holder.head)).want(t, 200))
	if m := now.DocumentMetadata; m.VersionID != holder.head || m.NextVersionID != "" {
		t.Errorf("the last version: %+v", m)
	}
	// Both operations may lie in one second: what was in force at its end is the newest.
	future := time.Now().Add(time.Hour).UTC().Format(wire.SecondsLayout)
	if m := resolved(t, f.get(path+"?versionTime="+future).want(t, 200)).DocumentMetadata; m.VersionID != holder.head {
		t.Errorf("an hour from now: %+v", m)
	}
	if m := resolved(t, f.get(path+"?versionTime="+created).want(t, 200)).DocumentMetadata; m.VersionID != first && m.VersionID != holder.head {
		t.Errorf("at creation: %+v", m)
	}
	// An undone version is found by its name, and says so.
	undone := holder.head
	holder.rotation[0], holder.rotation[1] = holder.rotation[1], holder.rotation[0]
	holder.record.Rotation = []registry.Record{holder.record}[0].Rotation
	holder.update(nil) // signed by the weaker key
	weak := holder.head
	holder.rotation[0], holder.rotation[1] = holder.rotation[1], holder.rotation[0]
	if m := resolved(t, f.get(path)).DocumentMetadata; m.FinalAt == "" {
		t.Errorf("a weak key's operation is not final: %+v", m)
	}
	holder.send(holder.sign(func(c *registry.Content) { c.Act, c.Undo = registry.Recover, weak }))
	if m := resolved(t, f.get(path+"?versionId="+string(weak)).want(t, 200)).DocumentMetadata; !m.Undone || m.VersionID != weak {
		t.Errorf("the undone version: %+v", m)
	}
	if m := resolved(t, f.get(path+"?versionId="+string(undone)).want(t, 200)).DocumentMetadata; m.Undone {
		t.Errorf("the version before: %+v", m)
	}
	if m := resolved(t, f.get(path)).DocumentMetadata; m.FinalAt != "" || m.VersionID != holder.head {
		t.Errorf("after the recovery: %+v", m)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, _ := f.passport()
	path := wire.PathIdentifiers + string(holder.id)
	for _, q := range []string{
		"?noCache=true", "?noCache=false", "?expandRelativeUrls=true", "?consistency=linearizable", "?consistency=stale",
		"?consistency=bounded&min_index=1", "?noCache=true&consistency=stale", "?versionId=" + string(holder.head), "?",
	} {
		f.get(path+q).want(t, http.StatusOK)
	}
	// A whole DID URL in the path, encoded.
	f.get(wire.PathIdentifiers+url.QueryEscape(string(holder.id)+"?versionId="+string(holder.head))).want(t, 200)
	failed(t, f.get(wire.PathIdentifiers+url.QueryEscape(string(holder.id)+"?versionId=x")), wire.InvalidOptions)

	for body, code := range map[string]wire.ResolutionCode{
		`{}`: "", `{"noCache":true}`: "", `{"accept":"application/did"}`: "", `{"versionId":"` + string(holder.head) + `","expandRelativeUrls":false}`: "",
		`{"noCache":"maybe"}`: wire.InvalidOptions, `{"noCache":null}`: wire.InvalidOptions, `[]`: wire.InvalidOptions, `{`: wire.InvalidOptions,
		`{"noCache":true,"noCache":true}`: wire.InvalidOptions, `{"versionId":"x"}`: wire.InvalidOptions, `{"versionId":{}}`: wire.InvalidOptions,
		`{"hello":1}`: wire.FeatureNotSupported, `{"accept":"text/html"}`: wire.RepresentationNotSupported,
	} {
		a := f.post(path, wire.TypeJSON, []byte(body))
		if code == "" {
			a.want(t, http.StatusOK)
			continue
		}
		failed(t, a, code)
	}
	failed(t, f.post(path+"?versionId="+string(holder.head), wire.TypeJSON, []byte(`{"versionId":"`+string(holder.head)+`"}`)), wire.InvalidOptions)
	failed(t, f.post(wire.PathIdentifiers+"did:web:x", wire.TypeJSON, []byte(`{"hello":1}`)), wire.MethodNotSupported)
	f.post(path, "text/plain", []byte(`{}`)).want(t, http.StatusUnsupportedMediaType)
	f.post(path, wire.TypeJSON, make([]byte, wire.MaxOptions+1)).problem(t, registry.TooLarge)
}

func TestDereference(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, provider, _ := f.placed("https://vault.example/base/", "https://second.example/")
	path := wire.PathIdentifiers + string(holder.id)
	const base = "https://vault.example/base/s/a/"

	for q, want := range map[string]string{
		"?service=strand-1":                         base,
		"?service=strand-1&relativeRef=":            base,
		"?service=strand-1&relativeRef=a/b":         base + "a/b",
		"?service=strand-1&relativeRef=%2Fbase/s/a": "",
		"?service=strand-1&relativeRef=a%3Fx%3D1":   base + "a?x=1",
		"?service=strand-1&relativeRef=a%252Fb":     base + "a%2Fb",
		"?service=strand-1&relativeRef=..%2Fb":      "",
		"?service=strand-1&relativeRef=%252e%252e/": "",
		"?service=strand-1&relativeRef=//evil.test": "",
		"?relativeRef=a+b&service=strand-1":         base + "a+b",
		"%3Fservice=strand-1%26relativeRef=x":       base + "x",
		"%3Fservice=strand-1%23frag":                base + "#frag",
	} {
		for _, accept := range []string{"", "*/*", "text/html", wire.TypeResolution} {
			a := f.get(path+q, "Accept", accept)
			if want == "" {
				failed(t, a, wire.InvalidDIDURL)
				continue
			}
			a.want(t, http.StatusSeeOther)
			if got := a.Header.Get("Location"); got != want || len(a.body) != 0 {
				t.Errorf("%s: location %q body %q, expected %q", q, got, a.body, want)
			}
		}
	}
	var d wire.Dereferencing
	a := f.get(path+"?service=strand-1&relativeRef=x", "Accept", wire.TypeDereferenced).want(t, 200)
	decode(t, a.body, &d)
	if string(d.Content) != `"`+base+`x"` || d.Metadata.ContentType != "text/uri-list" {
		t.Errorf("dereferenced: %s", a.body)
	}
	if a := f.get(wire.PathIdentifiers+string(provider.id)+"?service=endpoint.2").want(t, 303); a.Header.Get("Location") != "https://second.example/" {
		t.Errorf("the provider's second endpoint: %v", a.Header)
	}

	a = f.get(path+"%23grant-1").want(t, 200)
	d = wire.Dereferencing{}
	decode(t, a.body, &d)
	var method wire.VerificationMethod
	decode(t, d.Content, &method)
	if method.ID != string(holder.id)+"#grant-1" || d.ContentMetadata.VersionID != holder.head {
		t.Errorf("a key: %s", a.body)
	}
	var service wire.Service
	a = f.get(path+"%23strand-1", "Accept", wire.TypeDIDJSON).want(t, 200)
	decode(t, a.body, &service)
	if service.Type != "DataVault" || len(service.Endpoint) != 2 || a.Header.Get("Content-Type") != wire.TypeDIDJSON {
		t.Errorf("a strand: %s", a.body)
	}
	failed(t, f.get(path+"%23grant-1", "Accept", wire.TypeResolution), wire.RepresentationNotSupported)

	// A strand whose endpoint is withheld is no service.
	provider.accredit(registry.OrgSuspended)
	failed(t, f.get(path+"?service=strand-1"), wire.DIDNotFound)
	failed(t, f.get(path+"%23strand-1"), wire.DIDNotFound)
}
