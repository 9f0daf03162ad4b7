// Chaos runs a registry of three voting nodes and a read replica as real processes, lets clients write and
// read at all of them while it kills, freezes, cuts off and starves the nodes, and judges what the clients
// saw: was it linearizable for every passport, was anything lost that was acknowledged, was anything refused
// that should not have been, did any client miss its own write (DESIGN 9).
//
// It is run by scripts/chaos.sh. The parts, each knowing only those before it:
//
//	check    judges histories; pure
//	load     the clients
//	fleet    the processes, their cables and disks
//	nemesis  the faults
//	chaos    this: one run from the first start to the summary (run.go), and what is told of it (report.go)
//
// A harness that finds nothing may be blind. So guards of the registry can be taken out (--guards-off), in a
// binary built for that alone, and then it must find something (--expect-violation).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dcann/dcann/scripts/chaos/nemesis"
)

const usage = `usage: scripts/chaos.sh [flags]

Starts three voting nodes and a read replica, lets clients work on them while faults are
injected, judges what the clients saw, and prints a summary. The exit code is 1 if the
registry did anything wrong, or if too little was tried to tell.

  scripts/chaos.sh -d 3m                         on loopback: kills and freezes processes, changes members
  sudo scripts/chaos.sh -d 1h -netns             all faults, each node with a network and a disk of its own
  scripts/chaos.sh -d 2m -guards-off confirm -expect-violation    a seeded bug, which must be found

Kinds of faults: %s.

`

// options are what the flags say.
type options struct {
	duration    time.Duration
	seed        uint64
	netns       bool
	guardsOff   string
	expect      bool
	keep        string
	binary      string
	rate        float64
	desks       int
	kinds       []nemesis.Kind
	goOn        bool
	minWrites   int
	minFaults   int
	stdout, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with everything given: 0 all is well, 1 a violation or a failure, 2 wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return 2
	}
	o.stdout, o.err = stdout, stderr
	if err := chaos(ctx, o); err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var kinds string
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintf(stderr, usage, strings.Join(names(nemesis.Kinds()), ", "))
		f.PrintDefaults()
	}
	f.DurationVar(&o.duration, "d", time.Minute, "how long faults are injected")
	f.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the plan of faults; the same seed gives the same plan")
	f.BoolVar(&o.netns, "netns", false, "a network namespace and a file system for each node; needs root. Where that is not permitted\nthe run goes on without, and says so; with CI=true it fails")
	f.StringVar(&o.guardsOff, "guards-off", "", "guards of the registry to take out, such as confirm,flush: see node/cluster/guards_chaos.go")
	f.BoolVar(&o.expect, "expect-violation", false, "succeed only if a violation is found")
	f.StringVar(&o.keep, "keep", "", "new directory for logs and histories, kept whatever comes out; without it they are kept on failure only")
	f.StringVar(&o.binary, "binary", "", "the dcann to test, instead of building it")
	f.Float64Var(&o.rate, "rate", 400, "calls of all clients a second")
	f.IntVar(&o.desks, "desks", 32, "passports that are worked on at a time, each by three clients")
	f.StringVar(&kinds, "faults", "", "kinds of faults, by commas, with - for spaces; all that are possible if empty")
	f.BoolVar(&o.goOn, "go-on", false, "go on after the first violation")
	f.IntVar(&o.minWrites, "min-writes", -1, "acknowledged writes below which the run proves nothing; -1: five for each second")
	f.IntVar(&o.minFaults, "min-faults", 1, "faults of each kind below which the run proves nothing")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.duration <= 0 || o.rate <= 0 || o.desks < 1 {
		return o, errors.New("expected flags only, -d, -rate and -desks above 0: see -h")
	}
	if o.minWrites < 0 {
		o.minWrites = int(5 * o.duration.Seconds())
	}
	if o.expect {
		o.minWrites, o.minFaults = 0, 0 // it ends as soon as it has found something
	}
	if kinds == "" {
		return o, nil
	}
	for name := range strings.SplitSeq(kinds, ",") {
		i := slices.Index(names(nemesis.Kinds()), name)
		if i < 0 {
			return o, fmt.Errorf("-faults %q: expected some of %s", name, strings.Join(names(nemesis.Kinds()), ", "))
		}
		o.kinds = append(o.kinds, nemesis.Kinds()[i])
	}
	return o, nil
}

func names(kinds []nemesis.Kind) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, strings.ReplaceAll(string(k), " ", "-"))
	}
	return names
}
