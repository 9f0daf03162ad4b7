package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// signedPolicy writes a policy for country into a file and returns both.
func signedPolicy(t *testing.T, country registry.Country) (path string, p *registry.Policy) {
	t.Helper()
	key, err := jws.GenerateKey(jws.ES256)
	if err != nil {
		t.Fatal(err)
	}
	policy := registry.DefaultPolicy(country)
	policy.Accreditation, policy.Iat = []jws.Multikey{key.Public().Multikey()}, 1_795_000_000
	signed, err := policy.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "policy.jwt")
	if err := os.WriteFile(path, []byte(signed.Compact()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, p, err = readPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, p
}

func TestAgree(t *testing.T) {
	t.Parallel()
	file, inForce := signedPolicy(t, "fr")
	other, _ := signedPolicy(t, "fr")
	foreign, _ := signedPolicy(t, "de")
	later := *inForce
	later.Version = 2
	dev := *inForce
	dev.Country = "xz"
	for _, tt := range []struct {
		name   string
		config Config
		policy *registry.Policy
		want   []string
	}{
		{"nothing said", Config{}, inForce, nil},
		{"all said again", Config{Country: "fr", Policy: file}, inForce, nil},
		{"the first policy, after it was followed by another", Config{Policy: file}, &later, nil},
		{"another country", Config{Country: "de"}, inForce, []string{"de", "fr"}},
		{"a policy of another country", Config{Policy: foreign}, &later, []string{"country de", "country fr"}},
		{"another policy", Config{Policy: other}, inForce, []string{string(inForce.Accreditation[0]), "in force"}},
		{"another window", Config{Dev: true, RecoveryWindow: time.Hour}, &dev, []string{"1h0m0s", "72h0m0s"}},
		{"dev on a real registry", Config{Dev: true}, inForce, []string{"dev", "fr"}},
		{"dev whose key is gone", Config{Dev: true}, &dev, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Data = t.TempDir()
			err := agree(tt.config, tt.policy)
			if len(tt.want) == 0 && err != nil {
				t.Fatal(err)
			}
			if len(tt.want) > 0 && !errors.Is(err, registry.Invalid) {
				t.Fatalf("got %v: expected kind invalid", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %q", err, part)
				}
			}
		})
	}
}

func TestAgreeWithTheWrongAccreditationKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := devKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, p := signedPolicy(t, "xz")
	err = agree(Config{Dev: true, Data: dir}, p)
	if !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), string(key.Public().Multikey())) || !strings.Contains(err.Error(), string(p.Accreditation[0])) {
		t.Errorf("got %v: expected both keys to be named", err)
	}
}

func TestDevKeyIsMadeOnceAndForNobodyElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := devKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := devKey(dir)
	if err != nil || again.Public().Multikey() != first.Public().Multikey() {
		t.Errorf("got %v, %v: expected %v again", again, err, first)
	}
	info, err := os.Stat(filepath.Join(dir, AccreditationFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v: expected mode 0600", info.Mode(), err)
	}
}

func TestFirstPolicy(t *testing.T) {
	t.Parallel()
	file, _ := signedPolicy(t, "fr")
	for _, tt := range []struct {
		name   string
		config Config
		want   string // in the message
	}{
		{"none", Config{}, "dcann policy new"},
		{"file", Config{Policy: file}, ""},
		{"file of another country", Config{Policy: file, Country: "de"}, "country fr"},
		{"no such file", Config{Policy: "none.jwt"}, "none.jwt"},
		{"dev", Config{Dev: true, RecoveryWindow: time.Second}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Data = t.TempDir()
			raw, err := firstPolicy(tt.config)
			if tt.want != "" {
				if !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v: expected invalid, with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := registry.ParsePolicy(raw, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
