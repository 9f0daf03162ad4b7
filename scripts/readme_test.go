package scripts_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	fence      = regexp.MustCompile("(?m)^```([a-z]*)$")
)

// TestReadmeCommands runs every shell block of the README, in order, in one shell, as a reader would who
// copies them into a terminal: with the real binary, from the top of the repository. Only the addresses
// differ, so that they do not meet a registry that runs here already.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range fence.FindAllStringSubmatch(string(text), -1) {
		// Commands can hide in a block without a name; those that are no commands say what they are.
		if opening := i%2 == 0; opening && f[1] != "sh" && f[1] != "text" && f[1] != "go" && f[1] != "yaml" {
			t.Errorf("block %d of the README is of kind %q: expected sh (it is run), text, go or yaml", i/2+1, f[1])
		}
	}
	var commands strings.Builder
	commands.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT\n")
	blocks := shellBlock.FindAllStringSubmatch(string(text), -1)
	for _, b := range blocks {
		if strings.Contains(b[1], "dcann cluster init") {
			commands.WriteString("unset DCANN_HTTP\n") // which is for the first node: these have each their own
		}
		commands.WriteString(b[1])
	}
	if len(blocks) < 3 || !strings.Contains(commands.String(), "dcann serve --dev") {
		t.Fatalf("the README has %d shell blocks: expected the whole quick start", len(blocks))
	}
	address := "127.0.0.1:" + freePort(t)
	addresses, nodes := regexp.MustCompile(`127\.0\.0\.1:7[45]0[1-9]`), map[string]string{}
	bin := filepath.Dir(binary(t))
	script(t, "..", []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"),
		"GOBIN=" + bin,
		"TMPDIR=" + t.TempDir(),
		"DCANN_HTTP=" + address,
		"DCANN_REGISTRY=http://" + address,
	}, "bash", "-c", addresses.ReplaceAllStringFunc(strings.ReplaceAll(commands.String(), "127.0.0.1:7400", address), func(of string) string {
		if nodes[of] == "" {
			nodes[of] = "127.0.0.1:" + quietPort(t)
		}
		return nodes[of]
	}))
}

// TestReadmeDependencies holds the table of dependencies to what go.mod requires for our own imports, those of
// the tests included.
func TestReadmeDependencies(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		required[line[1]] = true // an indirect one has a comment
	}
	listed := map[string]bool{}
	_, table, _ := strings.Cut(string(text), "## Dependencies")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\S.*) \\|$").FindAllStringSubmatch(table, -1) {
		listed[row[1]] = true
	}
	for m := range required {
		if !listed[m] {
			t.Errorf("README: %s is imported and has no line in the table of dependencies that says what for", m)
		}
	}
	for m := range listed {
		if !required[m] {
			t.Errorf("README: %s is in the table of dependencies, and no package imports it", m)
		}
	}
	if len(required) < 10 {
		t.Fatalf("found %d modules in go.mod: expected more", len(required))
	}
}
