package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// AccreditationFile is the name of the key file under Config.Data that Config.Dev makes.
const AccreditationFile = "accreditation.pem"

// readPolicy reads a signed first policy from a file.
func readPolicy(path string) (raw []byte, p *registry.Policy, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, invalid("policy: %v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, registry.MaxStatement+2))
	if err != nil {
		return nil, nil, invalid("policy: %v", err)
	}
	raw = []byte(strings.TrimSpace(string(text)))
	if p, err = registry.ParsePolicy(raw, nil); err != nil {
		return nil, nil, fmt.Errorf("policy %s: %w", path, err)
	}
	return raw, p, nil
}

// devPolicy makes the first policy of a registry to try things on, and the key that signs it.
func devPolicy(c Config, now time.Time) ([]byte, error) {
	key, err := devKey(c.Data)
	if err != nil {
		return nil, err
	}
	country := c.Country
	if country == "" {
		country = DefaultDevCountry
	}
	p := registry.DefaultPolicy(country)
	p.Accreditation, p.Iat = []jws.Multikey{key.Public().Multikey()}, now.Unix()
	if c.RecoveryWindow != 0 {
		p.RecoveryWindow = int64(c.RecoveryWindow / time.Second)
	}
	signed, err := p.Sign(key)
	if err != nil {
		return nil, err
	}
	return []byte(signed.Compact()), nil
}

// devKey reads the accreditation key under dir, or makes it. It is there before the policy that names it
// is proposed, so that a crash between the two loses nothing.
func devKey(dir string) (jws.PrivateKey, error) {
	path := filepath.Join(dir, AccreditationFile)
	text, err := os.ReadFile(path)
	if err == nil {
		key, err := jws.ParsePrivateKey(text)
		if err != nil {
			return key, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return jws.PrivateKey{}, err
	}
	if begun, err := checkData(dir); begun || err != nil {
		return jws.PrivateKey{}, errors.Join(err, invalid("the accreditation key %s is missing, and a registry is there already, which would not know another: put the file back, or name an empty directory with --data", path))
	}
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		return key, err
	}
	if text, err = key.PEM(); err != nil {
		return key, err
	}
	return key, writeSecret(path, text)
}

// writeSecret writes a file of mode 0600 so that after a crash it is whole or not there.
func writeSecret(path string, text []byte) (err error) {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// firstPolicy is the policy that this node proposes when the registry has none yet; nil if it is not told
// one. A policy file is checked against the rest of the configuration.
func firstPolicy(c Config) ([]byte, error) {
	switch {
	case c.Dev:
		return devPolicy(c, time.Now())
	case c.Policy != "":
		raw, p, err := readPolicy(c.Policy)
		if err != nil {
			return nil, err
		}
		if c.Country != "" && c.Country != p.Country {
			return nil, invalid("country is %s, and policy %s is of country %s: expected the same", c.Country, c.Policy, p.Country)
		}
		return raw, nil
	}
	return nil, invalid("the registry under %s has no policy yet: give the signed first policy with --policy (made by dcann policy new), or --dev to try things on", c.Data)
}

// agree refuses a configuration that says something else than the policy in force, naming both.
func agree(c Config, p *registry.Policy) error {
	if c.Country != "" && c.Country != p.Country {
		return invalid("country is %s, and the registry under %s is of country %s: a registry does not change its country", c.Country, c.Data, p.Country)
	}
	if c.RecoveryWindow != 0 && c.RecoveryWindow != p.Window() {
		return invalid("recovery-window is %v, and the policy in force under %s says %v", c.RecoveryWindow, c.Data, p.Window())
	}
	if c.Policy != "" {
		_, given, err := readPolicy(c.Policy)
		switch {
		case err != nil:
			return err
		case given.Country != p.Country || given.Version == p.Version && !reflect.DeepEqual(given, p):
			return invalid("policy %s says %s, and the policy in force under %s says %s", c.Policy, describe(given), c.Data, describe(p))
		}
	}
	if c.Dev {
		return agreeDev(c, p)
	}
	return nil
}

// agreeDev checks that the accreditation key is the one that the policy names. A key that is missing is
// not made anew: nobody would believe it.
func agreeDev(c Config, p *registry.Policy) error {
	if !p.Country.UserAssigned() {
		return invalid("dev, and the registry under %s is of country %s: dev is for user-assigned countries", c.Data, p.Country)
	}
	path := filepath.Join(c.Data, AccreditationFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	key, err := devKey(c.Data)
	if err != nil {
		return err
	}
	if mine := key.Public().Multikey(); !slices.Contains(p.Accreditation, mine) {
		return invalid("%s is the key %s, and the policy in force names %v: put back the file that belongs to this registry", path, mine, p.Accreditation)
	}
	return nil
}

func describe(p *registry.Policy) string {
	return fmt.Sprintf("version %d, country %s, accreditation %v, recovery window %v, %d/%d operations an hour/a day, signed at %d",
		p.Version, p.Country, p.Accreditation, p.Window(), p.PerHour, p.PerDay, p.Iat)
}

// establish sees to it that the registry has a policy and that this node was started in agreement with
// it. It waits until the node has caught up, so that what a crash left in the log counts.
func (n *Node) establish(ctx context.Context, s *session) error {
	for s.cluster.Ready() != nil {
		select {
		case <-time.After(establishPoll):
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cluster.Done():
			return s.cluster.Err()
		}
	}
	if p := s.store.Policy(); p != nil {
		return agree(n.config, p)
	}
	raw, err := firstPolicy(n.config)
	if err != nil {
		return err
	}
	p, err := n.propose(ctx, s, raw)
	if err != nil {
		return fmt.Errorf("propose the first policy: %w", err)
	}
	n.log.Info("first policy in force", slog.String("country", string(p.Country)), slog.Duration("recovery_window", p.Window()))
	return agree(n.config, p)
}

// establishPoll is how often a start looks whether it may go on.
const establishPoll = 5 * time.Millisecond

// propose submits the first policy until it, or that of another node, is in force here.
func (n *Node) propose(ctx context.Context, s *session, raw []byte) (*registry.Policy, error) {
	for {
		_, err := s.cluster.SubmitPolicy(ctx, raw)
		if p := s.store.Policy(); p != nil {
			return p, nil
		}
		if err != nil && !errors.Is(err, registry.Unavailable) {
			return nil, err
		}
		select {
		case <-time.After(10 * establishPoll):
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-s.cluster.Done():
			return nil, s.cluster.Err()
		}
	}
}
