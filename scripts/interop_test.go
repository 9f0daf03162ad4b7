package scripts_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInterop lets other people's programs talk to a real node: operations made from the design alone,
// and DID clients that know nothing of this registry. They live in interop/ and need Node.js and npm.
func TestInterop(t *testing.T) {
	t.Parallel()
	needNode(t)
	modules := installModules(t)
	url, data := startNode(t)

	var made struct {
		Provider  string
		Passports []struct{ ID, Alg, VersionID string }
	}
	out := script(t, modules, nil, "node", "opmaker.mjs", url, "xz")
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatalf("opmaker.mjs printed %q: %v", out, err)
	}
	if len(made.Passports) != 2 {
		t.Fatalf("opmaker.mjs made %d passports: expected one per algorithm", len(made.Passports))
	}

	// Accredited, the provider's endpoint is shown, so that the clients below see services.
	script(t, "", nil, binary(t), "--registry", url, "org", "status",
		"--accreditation-key", filepath.Join(data, "accreditation.pem"), "--status", "active", made.Provider)
	for _, p := range made.Passports {
		var seen struct {
			ID       string
			Services []string
		}
		out := script(t, modules, nil, "node", "resolve.mjs", url, p.ID)
		if err := json.Unmarshal([]byte(out), &seen); err != nil {
			t.Fatalf("resolve.mjs printed %q: %v", out, err)
		}
		if seen.ID != p.ID || len(seen.Services) != 1 || seen.Services[0] != "https://vault.example/s/8f3c/" {
			t.Errorf("the clients saw %+v: expected %s with its vault", seen, p.ID)
		}
	}
	script(t, modules, nil, "node", "resolve.mjs", url, made.Provider)
}

// needNode skips loudly where there is no Node.js; in CI it has to be there.
func needNode(t *testing.T) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing, and this is CI: %v", program, err)
			}
			t.Skipf("SKIPPED, %s is missing: other people's clients were NOT tried", program)
		}
	}
}

// installModules puts the programs of interop/ and what they need into a directory of the test's own.
func installModules(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "opmaker.mjs", "resolve.mjs"} {
		text, err := os.ReadFile(filepath.Join("interop", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script(t, dir, nil, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	return dir
}
