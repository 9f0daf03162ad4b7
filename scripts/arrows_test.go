// Package scripts_test checks what no single package can see of itself: the arrows between packages and
// their names (DESIGN 2), and that the documents tell the truth.
package scripts_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/dcann/dcann/"

// The rooms of the house and which of them each may import (DESIGN 2). A package that is not listed
// belongs to its nearest listed parent and follows that one's arrows.
func arrows() map[string][]string {
	may := map[string][]string{}
	var above []string
	for _, room := range []struct {
		name  string
		may   []string
		below bool // in the column "the above": everything listed before it
	}{
		{name: "registry/jws"},
		{name: "registry/merkle"},
		{name: "registry", may: []string{"registry/jws"}},
		{name: "registry/grant", may: []string{"registry/jws", "registry"}},
		{name: "registry/wire", may: []string{"registry/jws", "registry/merkle", "registry", "registry/grant"}},
		{name: "registry/client", below: true},
		{name: "resolver", below: true},
		{name: "federation", below: true},
		{name: "registry/state", may: []string{"registry/jws", "registry/merkle", "registry", "registry/grant"}},
		{name: "node/peer"},
		{name: "node/archive"},
		{name: "node/cluster", may: []string{"registry/jws", "registry/merkle", "registry", "registry/grant", "registry/state", "node/archive"}},
		{name: "node/api", below: true},
		{name: "node", below: true},
		{name: "cmd/dcann", below: true},
		{name: "scripts", below: true},
	} {
		may[room.name] = room.may
		if room.below {
			may[room.name] = slices.Clone(above)
		}
		above = append(above, room.name)
	}
	return may
}

// heavy are the modules that third parties must not get with the resolver (DESIGN 2).
var heavy = []string{
	"github.com/hashicorp/raft", "github.com/cockroachdb/pebble", "go.etcd.io/bbolt", "github.com/theupdateframework/",
}

var badNames = []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "managers", "misc"}

// house maps the import path of each package of ours to what it imports, tests aside.
type house map[string][]string

func TestArrows(t *testing.T) {
	t.Parallel()
	may := arrows()
	packages := readHouse(t, "..")
	if len(packages) < 4 {
		t.Fatalf("found %d packages: expected the whole house", len(packages))
	}
	for _, p := range slices.Sorted(maps.Keys(packages)) {
		from := room(p, may)
		if from == "" {
			t.Errorf("%s is in no room of DESIGN 2: move it, or give it a line in DESIGN 2 and in this test", p)
			continue
		}
		for _, name := range strings.Split(strings.TrimPrefix(p, module), "/") {
			if slices.Contains(badNames, name) {
				t.Errorf("%s: the name %q says nothing of what is in it (STYLE)", p, name)
			}
		}
		for _, imported := range packages[p] {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			if to := room(imported, may); to != from && !slices.Contains(may[from], to) {
				t.Errorf("%s imports %s: %s may import only [%s] (DESIGN 2)", p, imported, from, strings.Join(may[from], ", "))
			}
		}
		if from == "resolver" || from == "registry/client" {
			packages.checkLight(t, p, p, map[string]bool{})
		}
	}
}

// checkLight keeps the storage engines out of what third parties compile, however deep the import is.
func (h house) checkLight(t *testing.T, root, p string, seen map[string]bool) {
	t.Helper()
	for _, imported := range h[p] {
		if seen[imported] {
			continue
		}
		seen[imported] = true
		for _, prefix := range heavy {
			if strings.HasPrefix(imported, prefix) {
				t.Errorf("%s gets %s by way of %s: third parties import it without storage, Raft or TUF (DESIGN 2)", root, imported, p)
			}
		}
		h.checkLight(t, root, imported, seen)
	}
}

// room is the nearest listed parent of a package of ours, "" if there is none.
func room(importPath string, may map[string][]string) string {
	for dir := strings.TrimPrefix(importPath, module); dir != "."; dir = path.Dir(dir) {
		if _, ok := may[dir]; ok {
			return dir
		}
	}
	return ""
}

// readHouse parses the import clauses of all packages below root. It reads the files itself, and does not
// ask go list: the test cache sees the files that a test opens, and would not see those of a child process.
func readHouse(t *testing.T, root string) house {
	t.Helper()
	h := house{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() {
			if file != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		} else if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		importPath := module + filepath.ToSlash(dir)
		h[importPath] = append(h[importPath], nil...)
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			h[importPath] = append(h[importPath], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}
