package api

import (
	"net/url"
	"strings"
	"testing"

	"github.com/dcann/dcann/registry/wire"
)

const endpoint = "https://vault.example/s/8f3c/"

func TestLocate(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"":                            endpoint,
		"a":                           endpoint + "a",
		"a/b?x=1&y=2#f":               endpoint + "a/b?x=1&y=2#f",
		"./a":                         endpoint + "a",
		"a/../b":                      endpoint + "b",
		"?q":                          endpoint + "?q",
		"/s/8f3c/a":                   endpoint + "a",
		"../8f3c/a":                   endpoint + "a",
		"a%20b":                       endpoint + "a%20b",
		"a+b":                         endpoint + "a+b",
		"100%25":                      endpoint + "100%25",
		"...":                         endpoint + "...",
		".well-known":                 endpoint + ".well-known",
		"a:b@c/d":                     "",
		"./a:b":                       endpoint + "a:b",
		"..":                          "",
		"../":                         "",
		"../x":                        "",
		"a/../../x":                   "",
		"/":                           "",
		"/s":                          "",
		"/s/8f3c":                     "",
		"/s/8f3cc/x":                  "",
		"/S/8f3c/x":                   "",
		"//evil.example/s/8f3c/":      "",
		"///s/8f3c/x":                 "",
		"https://evil.example/":       "",
		"https:a":                     "",
		"https:///s/8f3c/x":           "",
		"javascript:alert(1)":         "",
		"mailto:a@b":                  "",
		`..\x`:                        "",
		`\\evil.example`:              "",
		`a\..\..\..\x`:                "",
		"%5c..%5c..%5cx":              "",
		"%255c..%255cx":               "",
		"%2e%2e/x":                    "",
		"%2E%2E/x":                    "",
		".%2e/x":                      "",
		"%2e":                         "",
		"a/%2e%2e/%2e%2e/x":           "",
		"%2e%2e%2fx":                  "",
		"%252e%252e/x":                "",
		"%252e%252e%252fx":            "",
		"%25252525252e%25252525252e/": "",
		"a/%2e%2e/b":                  "", // inside, but not worth the risk
		"..;/x":                       "",
		"..;a=b/x":                    "",
		"%2e%2e%3b/x":                 "",
		"%c0%ae%c0%ae/x":              "", // an overlong dot
		"a%00":                        "",
		"a%0d%0aSet-Cookie:x":         "",
		"a b":                         "",
		"a\r\nX: y":                   "",
		"a%":                          "",
		"a%zz":                        "",
		"[::1]":                       "",
		"é":                           "",
		"a#b#c":                       "",
		"a|b":                         "",
		"@evil.example":               endpoint + "@evil.example",
		"?//evil.example/../..":       endpoint + "?//evil.example/../..",
		"#%2e%2e":                     endpoint + "#%2e%2e",
	} {
		got, err := locate(endpoint, ref, "")
		switch {
		case want == "" && err == nil:
			t.Errorf("%q leads to %q, expected it to be refused", ref, got)
		case want != "" && (err != nil || got != want):
			t.Errorf("%q leads to %q %v, expected %q", ref, got, err, want)
		}
	}
	if got, err := locate(endpoint, "a", "frag"); err != nil || got != endpoint+"a#frag" {
		t.Errorf("a fragment: %q %v", got, err)
	}
	if got, err := locate(endpoint, "a#own", "frag"); err != nil || got != endpoint+"a#own" {
		t.Errorf("a fragment of its own: %q %v", got, err)
	}
	if got, err := locate("https://vault.example/a%20b/", "c", ""); err != nil || got != "https://vault.example/a%20b/c" {
		t.Errorf("an encoded endpoint: %q %v", got, err)
	}
}

// FuzzLocate: whatever the reference, what comes out is below the endpoint for every reader that we can
// think of: one that decodes once more, resolves dots, or takes backslashes for slashes.
func FuzzLocate(f *testing.F) {
	for _, s := range []string{"a", "../x", "%2e%2e/x", "//h", "https://h/", `..\`, "%252e%252e%252f", "?q#f", "..;/"} {
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, ref, fragment string) {
		if !consistsEncoded(fragment, "-._~!$&'()*+,;=:@/?", true) {
			return // refused before
		}
		got, err := locate(endpoint, ref, fragment)
		if err != nil {
			return
		}
		if !strings.HasPrefix(got, endpoint) {
			t.Fatalf("%q leads to %q", ref, got)
		}
		if strings.ContainsAny(got, "\r\n\\ ") {
			t.Fatalf("%q leads to %q", ref, got)
		}
		path, _, _ := strings.Cut(strings.SplitN(got, "#", 2)[0], "?")
		for range 20 {
			u, err := url.Parse(strings.ReplaceAll(path, `\`, "/"))
			if err != nil {
				break // a reader that decodes so far finds no URL
			}
			if clean := u.JoinPath("."); u.Host != "vault.example" || !strings.HasPrefix(strings.TrimSuffix(clean.Path, "/")+"/", "/s/8f3c/") {
				t.Fatalf("%q leads to %q, which some read as %s", ref, got, clean)
			}
			next, err := url.PathUnescape(path)
			if err != nil || next == path {
				break
			}
			path = next
		}
	})
}

// FuzzParseResolution: never panics, and what it accepts is what was asked for.
func FuzzParseResolution(f *testing.F) {
	for _, s := range []string{"", "did:x:y", string(testID), string(testID) + "?service=a&relativeRef=b%2fc", string(testID) + "#k", string(testID) + "/p?versionId=x"} {
		f.Add(s, "noCache=true", "application/did")
	}
	f.Fuzz(func(t *testing.T, target, query, accept string) {
		options, err := parseParameters(query)
		if err != nil {
			return
		}
		r, rerr := parseResolution(target, options, []string{accept})
		if rerr != nil {
			if rerr.code.Status() < 400 || rerr.detail == "" {
				t.Fatalf("%q: error %+v", target, rerr)
			}
			return
		}
		if !strings.HasPrefix(target, string(r.id)) || r.versionID != "" && r.versionTime != 0 {
			t.Fatalf("%q is understood as %+v", target, r)
		}
	})
}

func TestNegotiate(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]representation{
		"":                               unspecified,
		"*/*":                            unspecified,
		"application/*":                  unspecified,
		wire.TypeResolution:              asResolution,
		wire.TypeDID:                     asDID,
		"Application/DID":                asDID,
		wire.TypeDIDJSON:                 asDIDJSON,
		wire.TypeDIDLD + `;profile="x"`:  asDIDLD,
		wire.TypeDereferenced:            asDereferenced,
		"text/html, " + wire.TypeDIDJSON: asDIDJSON,
		"text/html, */*;q=0.1":           unspecified,
		"application/did;q=0.5, application/did+json;q=0.9":  asDIDJSON,
		"application/did+json, application/did":              asDIDJSON,
		"application/did;q=0, */*":                           unspecified,
		"*/*, application/did-resolution;q=0":                255 - 1,
		"text/html":                                          255 - 1,
		"application/json":                                   255 - 1,
		"application/did;q=0":                                255 - 1,
		"application/did-resolution, application/did;q=nope": asResolution,
	} {
		got, ok := negotiate([]string{header})
		if want == 255-1 {
			if ok {
				t.Errorf("%q is %d, expected nothing to fit", header, got)
			}
			continue
		}
		if !ok || got != want {
			t.Errorf("%q is %d %v, expected %d", header, got, ok, want)
		}
		if quick, sure := quickAccept([]string{header}); sure && quick != got && got != unspecified {
			t.Errorf("%q is %d quickly and %d slowly", header, quick, got)
		}
	}
}
