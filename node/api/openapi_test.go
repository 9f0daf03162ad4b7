package api

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

var contract = sync.OnceValues(func() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(loader.Context)
})

// template is the path of the contract that a request's path is of.
func template(path string) string {
	switch {
	case path == wire.PathIdentifiers:
		return strings.TrimSuffix(path, "/")
	case strings.HasPrefix(path, wire.PathIdentifiers):
		return wire.PathIdentifiers + "{did}"
	case strings.HasPrefix(path, wire.PathRecords) && strings.HasSuffix(path, wire.SuffixOperations):
		return wire.PathRecords + "{did}" + wire.SuffixOperations
	case strings.HasPrefix(path, wire.PathRecords) && path != wire.PathRecords:
		return wire.PathRecords + "{did}"
	}
	return path
}

// conforms holds an answer against the contract. The harness calls it for every answer of every test.
func (a answer) conforms(t testing.TB) {
	t.Helper()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	path, method := template(a.Request.URL.EscapedPath()), a.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	item := doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil || a.Request.Method == http.MethodHead && path == wire.PathEvents {
		if a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusMethodNotAllowed && method != http.MethodOptions {
			t.Errorf("%s %s is answered with %d, but not in openapi.yaml", method, path, a.StatusCode)
		}
		return
	}
	response := item.GetOperation(method).Responses.Status(a.StatusCode)
	if response == nil {
		t.Errorf("%s %s: openapi.yaml has no status %d", method, path, a.StatusCode)
		return
	}
	a.conformHeaders(t, response.Value)
	if len(a.body) == 0 {
		return
	}
	mediaType, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	content := response.Value.Content[mediaType]
	if content == nil {
		t.Errorf("%s %s: openapi.yaml has no %s for status %d", method, path, mediaType, a.StatusCode)
		return
	}
	switch {
	case mediaType == wire.TypeNDJSON:
		for line := range bytes.Lines(a.body) {
			if len(line) > 1 {
				visit(t, a, content.Schema.Value, line)
			}
		}
	case strings.Contains(mediaType, "json") || strings.HasPrefix(mediaType, "application/did"):
		visit(t, a, content.Schema.Value, a.body)
	}
}

// conformHeaders: those that only we have are where the contract says, nowhere else, and as it says.
func (a answer) conformHeaders(t testing.TB, response *openapi3.Response) {
	t.Helper()
	for _, name := range []string{wire.HeaderIndex, wire.HeaderStaleness, "Retry-After"} {
		value, header := a.Header.Get(name), response.Headers[name]
		if (value == "") != (header == nil) {
			t.Errorf("%s %s, status %d: %s is %q, in openapi.yaml: %v", a.Request.Method, a.Request.URL, a.StatusCode, name, value, header != nil)
		} else if header != nil {
			if err := header.Value.Schema.Value.VisitJSON(value); err != nil {
				t.Errorf("%s: %s: %.300v", a.Request.URL, name, err)
			}
		}
	}
}

func visit(t testing.TB, a answer, schema *openapi3.Schema, text []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%s: %v in %.300s", a.Request.URL, err, text)
		return
	}
	if err := schema.VisitJSON(v); err != nil {
		t.Errorf("%s %s, status %d, is not as openapi.yaml says: %.600v\n%.600s", a.Request.Method, a.Request.URL, a.StatusCode, err, text)
	}
}

// TestOpenAPIHasEveryRoute, and no other: the file against what is registered.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	for _, r := range f.routes {
		for _, m := range r.methods {
			if m != http.MethodHead {
				got = append(got, m+" "+strings.NewReplacer(":did", "{did}", "*", "{did}").Replace(r.name))
			}
		}
	}
	sort.Strings(want)
	sort.Strings(got)
	if !slices.Equal(got, want) {
		t.Errorf("registered\n%s\nin openapi.yaml\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if a := f.get(wire.PathOpenAPI).want(t, 200); !bytes.Equal(a.body, openAPI) || a.Header.Get("Content-Type") != wire.TypeYAML {
		t.Errorf("%s: %v", wire.PathOpenAPI, a.Header)
	}
}

// TestOpenAPILimits: the numbers in the file are those of the code.
func TestOpenAPILimits(t *testing.T) {
	t.Parallel()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	body := func(path, mediaType string) *openapi3.Schema {
		return doc.Paths.Value(path).Post.RequestBody.Value.Content[mediaType].Schema.Value
	}
	if n := body(wire.PathResolve, wire.TypeJSON).MaxItems; n == nil || *n != wire.MaxResolve {
		t.Errorf("identifiers of a batch: %v", n)
	}
	if n := body(wire.PathOperations, wire.TypeOperation).MaxLength; n == nil || *n != wire.MaxOperation {
		t.Errorf("bytes of an operation: %v", n)
	}
	for _, path := range []string{wire.PathStatuses, wire.PathAcceptances} {
		if n := body(path, wire.TypeStatement).MaxLength; n == nil || *n != wire.MaxStatement {
			t.Errorf("bytes of a statement: %v", n)
		}
	}
	// What has no place in a schema is said in words. The words are written from the constants here.
	minutes := func(d time.Duration) string { return fmt.Sprintf("%d min", int(d.Minutes())) }
	seconds := func(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Seconds())) }
	for _, c := range []struct {
		text  string
		words []string
	}{
		{doc.Info.Description, []string{
			fmt.Sprintf("more than %d KiB", wire.MaxHeaderBytes>>10), "more than " + seconds(wire.HeaderTimeout) + " for the headers",
			seconds(wire.ReadTimeout) + " for its body", minutes(wire.IdleTimeout) + " from one request",
			seconds(wire.WriteTimeout) + " to take in the next 64 KiB", "within " + seconds(wire.AnswerTimeout), "at most " + seconds(wire.MaxWait),
			fmt.Sprintf("one more request for every %d", wire.ResolveCost),
			fmt.Sprintf("%d streams of events, %d batches of operations and %d batches of identifiers",
				wire.MaxStreamsPerAddress, wire.MaxBatchesPerAddress, wire.MaxResolvesPerAddress),
			fmt.Sprintf("serves %d streams and takes in %d batches", wire.MaxStreams, wire.MaxBatches),
		}},
		{doc.Paths.Value(wire.PathBatch).Post.Description, []string{
			"has " + seconds(wire.ReadTimeout) + " to come, all of it " + minutes(wire.MaxBatchTime)}},
		{doc.Paths.Value(wire.PathEvents).Get.Description, []string{"at most " + seconds(wire.Heartbeat)}},
		{doc.Components.Parameters["consistency"].Value.Description, []string{"at most " + seconds(wire.MaxStaleness) + " ago"}},
		{doc.Components.Parameters["minIndex"].Value.Description, []string{"at most " + seconds(wire.MaxWait)}},
	} {
		text := strings.Join(strings.Fields(c.text), " ")
		for _, words := range c.words {
			if !strings.Contains(text, words) {
				t.Errorf("openapi.yaml does not say %q in %q", words, text)
			}
		}
	}
	limit := doc.Components.Parameters["limit"].Value.Schema.Value
	if *limit.Max != wire.MaxPage || limit.Default != float64(wire.DefaultPage) {
		t.Errorf("a page: %v by default %v", *limit.Max, limit.Default)
	}
}

// TestWellKnown: who this is, and that every GET route that has a good answer is held against the file.
func TestWellKnown(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	var who wire.Registry
	decode(t, f.get(wire.PathRegistry).want(t, 200).body, &who)
	if who.Country != country || who.Version != "test" || len(who.AccreditationKeys) != 1 || who.AccreditationKeys[0] != string(f.accreditation.Public().Multikey()) ||
		who.Limits.OperationBytes != wire.MaxOperation || who.Limits.RequestsPerSecond != DefaultRequestsPerSecond || who.Policy.Version != 1 {
		t.Errorf("registry: %+v", who)
	}
	f.get(wire.PathRegistry+"?x=1").problem(t, registry.Invalid)
	if a := f.get(wire.PathLive).want(t, 200); string(a.body) != "ok\n" {
		t.Errorf("livez: %q", a.body)
	}
	if a := f.get(wire.PathReady).want(t, 200); string(a.body) != "ok\n" {
		t.Errorf("readyz: %q", a.body)
	}
	if a := f.get(wire.PathMetrics).want(t, 200); !strings.Contains(string(a.body), "dcann_http_requests_total") {
		t.Errorf("metrics: %.300q", a.body)
	}
}
