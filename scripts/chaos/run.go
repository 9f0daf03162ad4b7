package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dcann/dcann/scripts/chaos/check"
	"github.com/dcann/dcann/scripts/chaos/fleet"
	"github.com/dcann/dcann/scripts/chaos/load"
	"github.com/dcann/dcann/scripts/chaos/nemesis"
)

// How long the registry may take to be well when nothing is broken.
const (
	startPatience = time.Minute
	endPatience   = time.Minute
)

// trial is one run.
type trial struct {
	options
	dir     string
	log     *slog.Logger // what happened when, into a file
	fleet   *fleet.Fleet
	court   *court
	load    *load.Load
	nemesis *nemesis.Nemesis

	began   time.Time
	lasted  time.Duration // of the faults
	watched watched
}

// chaos is one run from build to summary. The error says in one line why it is not a success; all else has
// been printed.
func chaos(ctx context.Context, o options) (err error) {
	t := &trial{options: o}
	if t.dir, err = os.MkdirTemp("", "dcann-chaos."); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(t.dir, "chaos.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	t.log = slog.New(slog.NewTextHandler(log, nil))
	fmt.Fprintf(o.err, "chaos: seed %d, %v, in %s\n", o.seed, o.duration, t.dir)
	failed := true
	defer func() { err = errors.Join(err, t.tidy(failed)) }()
	if err := t.build(ctx); err != nil {
		return err
	}
	if err := t.permitted(); err != nil {
		return err
	}
	t.fleet, err = fleet.New(ctx, fleet.Config{Binary: t.binary, Dir: t.dir, Wires: t.netns, Disks: t.netns, Env: t.env(), Log: t.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.fleet.Close()) }()
	if err := t.found(ctx); err != nil {
		return err
	}
	if err := t.torment(ctx); err != nil {
		return err
	}
	if err := t.inspect(ctx); err != nil {
		return err
	}
	err = t.report()
	failed = err != nil
	return err
}

// build makes the dcann to test, with guards that can be taken out only if some are.
func (t *trial) build(ctx context.Context) error {
	if t.binary != "" {
		return nil
	}
	t.binary = filepath.Join(t.dir, "dcann")
	args := []string{"build", "-o", t.binary}
	if t.guardsOff != "" {
		args = append(args, "-tags", "chaos")
	}
	c := exec.CommandContext(ctx, "go", append(args, "github.com/dcann/dcann/cmd/dcann")...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func (t *trial) env() []string {
	if t.guardsOff == "" {
		return nil
	}
	return []string{"DCANN_CHAOS_GUARDS_OFF=" + t.guardsOff}
}

// permitted gives up namespaces and disks where they are not, and says so loudly.
func (t *trial) permitted() error {
	if !t.netns {
		return nil
	}
	err := fleet.Possible()
	switch {
	case err == nil:
		return nil
	case os.Getenv("CI") == "true":
		return fmt.Errorf("-netns: partitions and full, slow and failing disks cannot be tested, and CI requires them: %w", err)
	}
	fmt.Fprintf(t.err, "chaos: *** -netns: %v ***\nchaos: *** partitions, one-way loss, full and slow disks and power cuts are NOT tested ***\n", err)
	t.netns = false
	return nil
}

// found starts all nodes and makes the replica a member, by the operator's own command.
func (t *trial) found(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for _, n := range t.fleet.Nodes() {
		if err := n.Start(); err != nil {
			return err
		}
	}
	for {
		if leader, _ := t.fleet.Leader(ctx); leader != nil {
			break
		}
		select {
		case <-ctx.Done():
			return errors.New("the registry does not start: nobody leads")
		case <-time.After(50 * time.Millisecond):
		}
	}
	r := t.fleet.Replica()
	if _, err := t.fleet.NodeCommand(ctx, t.fleet.Nodes()[0], "join", "--replica", r.Name+"="+r.Address); err != nil {
		return err
	}
	return t.fleet.Well(ctx)
}

// torment lets clients and nemesis loose for the duration, then repairs everything and lets the clients go
// on for a moment.
func (t *trial) torment(ctx context.Context) error {
	stop, enough := context.WithCancel(ctx)
	defer enough()
	t.court = newCourt(func() {
		if !t.goOn {
			enough()
		}
	})
	var nodes []load.Node
	for _, n := range t.fleet.Nodes() {
		nodes = append(nodes, load.Node{Name: n.Name, URL: n.URL()})
	}
	t.began = time.Now()
	t.load = load.New(load.Config{Country: fleet.Country, Nodes: nodes, Desks: t.desks, Rate: t.rate, Seed: t.seed, Start: t.began,
		Done: t.court.take, Violation: t.court.add})
	t.nemesis = nemesis.New(nemesis.Config{Fleet: t.fleet, Seed: t.seed, Kinds: t.kinds, Log: t.log, Violation: t.court.add,
		Acknowledged: func() int { return t.load.Counts().Acknowledged }})

	working, rest := context.WithCancel(context.WithoutCancel(ctx))
	defer rest()
	striking, done := context.WithTimeout(stop, t.duration)
	defer done()
	var all sync.WaitGroup
	var loadErr error
	all.Go(func() { loadErr = t.load.Run(working) })
	all.Go(func() { t.watch(working) })
	err := t.nemesis.Run(striking)
	t.lasted = time.Since(t.began)
	if err == nil {
		err = t.fleet.Heal(context.WithoutCancel(ctx))
	}
	if err == nil && ctx.Err() == nil {
		well, cancel := context.WithTimeout(ctx, endPatience)
		if sick := t.fleet.Well(well); sick != nil && ctx.Err() == nil {
			t.court.add(check.Violation{Kind: check.NoRecovery, Detail: fmt.Sprintf("%v after everything was repaired: %v", endPatience, sick)})
		}
		cancel()
	}
	rest()
	all.Wait()
	t.court.adjourn()
	return errors.Join(err, loadErr, ctx.Err())
}

// inspect compares the nodes with each other and with what they have acknowledged, when all is quiet.
func (t *trial) inspect(ctx context.Context) error {
	out, err := t.fleet.NodeCommand(ctx, t.fleet.Nodes()[0], "check", "--full")
	t.log.Info("check", "output", out)
	if err != nil {
		t.court.add(check.Violation{Kind: check.Differ, Detail: err.Error()})
	} else if !strings.Contains(out, fmt.Sprintf("of %d nodes", len(t.fleet.Nodes()))) {
		t.court.add(check.Violation{Kind: check.Differ, Detail: "not all nodes were compared: " + out})
	}
	if err := t.load.Audit(ctx, t.court.subjects); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.court.add(check.Violation{Kind: check.NoRecovery, Detail: err.Error()})
	}
	t.court.judgeAgain()
	for _, n := range t.fleet.Nodes() {
		if line := crash(n.LogFile()); line != "" {
			t.court.add(check.Violation{Kind: check.Crashed, Detail: n.Name + ": " + line})
		}
	}
	return nil
}
