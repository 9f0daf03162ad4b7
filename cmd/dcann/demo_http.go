package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// story is what the scenes of the demonstration share: who has appeared so far, and how they talk to the
// registry. It speaks plain HTTP, as the curl commands that it prints do.
type story struct {
	out     io.Writer
	cluster *demoCluster
	asked   int    // which of its nodes was asked last
	dir     string // for keys and signed operations
	country registry.Country
	now     func() time.Time
	http    http.Client

	number int // of the scene
	files  int // signed objects written so far
	title  string
	last   []byte // the last answer, for the message when it is not as expected

	accreditation      jws.PrivateKey
	keys               map[string]jws.PrivateKey
	vault, alice       *registry.Record
	provider, passport registry.ID
	strand             registry.Disclosure
	theft, recovery    registry.OpID
	killed             *demoNode
	index              string // Dcann-Index of the last write
}

// maxAnswer bounds what the demonstration reads of an answer, in bytes.
const maxAnswer = 1 << 20

// newStory begins a story in a directory of its own under data, which may hold others.
func newStory(out io.Writer, cluster *demoCluster, data string, now func() time.Time) (*story, error) {
	s := &story{out: out, cluster: cluster, country: node.DefaultDevCountry, now: now, keys: map[string]jws.PrivateKey{}, http: http.Client{Timeout: 10 * time.Second}}
	var err error
	if s.accreditation, err = readKey(filepath.Join(cluster.dir, node.AccreditationFile)); err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		s.dir = filepath.Join(data, fmt.Sprintf("story-%d", n))
		if err := os.Mkdir(s.dir, 0o700); !errors.Is(err, fs.ErrExist) {
			return s, err
		}
	}
}

func (s *story) begin(title string) {
	s.number++
	s.title = title
	fmt.Fprintf(s.out, "\n%d. %s%s\n", s.number, strings.ToUpper(title[:1]), title[1:])
}

func (s *story) tell(text string) {
	fmt.Fprintf(s.out, "   %s\n", strings.ReplaceAll(text, "\n", "\n   "))
}

// key makes a key and keeps it in a file, so that the reader can go on with it.
func (s *story) key(name string) (jws.PrivateKey, error) {
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		return key, err
	}
	s.keys[name] = key
	return key, writeKey(filepath.Join(s.dir, name+".pem"), key)
}

// operation signs and sends an operation, and expects an answer of status want.
func (s *story) operation(ctx context.Context, name string, key jws.PrivateKey, c registry.Content, want int, disclosures ...registry.Disclosure) (*registry.Operation, error) {
	c.Iat = s.now().Unix()
	op, err := c.Sign(key, disclosures...)
	if err != nil {
		return nil, err
	}
	return op, s.post(ctx, name, wire.PathOperations, wire.TypeOperation, string(op.Bytes()), want)
}

// post sends a signed object, from a file so that the curl command shown can be run.
func (s *story) post(ctx context.Context, name, path, typ, text string, want int) error {
	s.files++
	file := filepath.Join(s.dir, fmt.Sprintf("%02d-%s", s.files, name))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	ask := request{
		method: http.MethodPost, path: path, header: "Content-Type", media: typ, body: text,
		curl: fmt.Sprintf("curl -s -H 'Content-Type: %s' --data-binary @%s", typ, file),
	}
	return s.ask(ctx, ask, want, nil, "id", "op", "seq", "position", "title", "detail", "status")
}

// record fetches a record and shows the members that are picked.
func (s *story) record(ctx context.Context, id registry.ID, pick ...string) (wire.Record, error) {
	var r wire.Record
	err := s.get(ctx, wire.RecordPath(id), wire.TypeJSON, http.StatusOK, &r, pick...)
	return r, err
}

// get asks and decodes the answer into v.
func (s *story) get(ctx context.Context, path, accept string, want int, v any, pick ...string) error {
	if separator := "?"; s.index != "" { // whichever node answers must have seen the story's own writes
		if strings.Contains(path, separator) {
			separator = "&"
		}
		path += separator + wire.ParamMinIndex + "=" + s.index
	}
	return s.ask(ctx, request{method: http.MethodGet, path: path, header: "Accept", media: accept, curl: "curl -s"}, want, v, pick...)
}

func (s *story) ask(ctx context.Context, r request, want int, v any, pick ...string) error {
	status, tries, err := s.exchange(ctx, r)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	s.show(text, pick)
	if tries > 1 && want == http.StatusCreated && status == http.StatusOK {
		want = status // an earlier try had arrived, and only its answer was lost: the registry knows it
	}
	if err := s.expect(status == want, fmt.Sprintf("HTTP status %d, got %s", want, text)); err != nil {
		return err
	}
	if v == nil {
		return nil
	}
	return wire.Decode(s.last, v)
}

// expect is how a scene verifies what it claims.
func (s *story) expect(ok bool, what string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("expected %s; the registry answered %s", what, bytes.TrimSpace(s.last))
}

// show prints the status and the picked members of the last answer, long strings cut.
func (s *story) show(status string, pick []string) {
	var answer any
	if err := json.Unmarshal(s.last, &answer); err != nil {
		fmt.Fprintf(s.out, "   %s\n   %.200s\n", status, s.last)
		return
	}
	text, err := json.Marshal(shorten(answer, pick), json.Deterministic(true), jsontext.WithIndentPrefix("   "), jsontext.WithIndent("  "))
	if err != nil {
		return
	}
	fmt.Fprintf(s.out, "   %s\n   %s\n", status, text)
}

// shorten leaves what pick names, members by their paths (didDocument.service), and all if it names none;
// of long lists it leaves the beginning, and of long names what tells them apart.
func shorten(v any, pick []string) any {
	switch v := v.(type) {
	case map[string]any:
		short := make(map[string]any, len(v))
		for name, member := range v {
			if inside, ok := picked(pick, name); ok {
				short[name] = shorten(member, inside)
			}
		}
		return short
	case []any:
		const most = 4
		short := make([]any, 0, len(v))
		for _, item := range v[:min(len(v), most)] {
			short = append(short, shorten(item, pick))
		}
		if len(v) > most {
			short = append(short, fmt.Sprintf("… and %d more", len(v)-most))
		}
		return short
	case string:
		const most = 46
		if len(v) > most && !strings.HasPrefix(v, "http") && !strings.Contains(v, " ") {
			return v[:20] + "…" + v[len(v)-6:]
		}
	}
	return v
}

// picked reports whether pick names a member, and what it names inside of it.
func picked(pick []string, name string) (inside []string, ok bool) {
	if len(pick) == 0 {
		return nil, true
	}
	for _, p := range pick {
		head, rest, deeper := strings.Cut(p, ".")
		if head != name {
			continue
		}
		if ok = true; deeper {
			inside = append(inside, rest)
		}
	}
	return inside, ok
}
