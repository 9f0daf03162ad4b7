// Command raft is the reference of the benchmark of three nodes (DESIGN 15): bare hashicorp/raft in three
// processes, with the transport, the log's options and the settings of a node, entries of 64 operations of
// 1 KB, and a state machine that does nothing. Its leader proposes to itself: nothing is parsed, verified,
// asked for over HTTP or stored but in the log.
//
//	raft -dir DIR -duration 10s -inflight 4
//
// It starts the three processes on free ports of loopback, lets the leader warm up, measures, prints one
// JSON object and ends what it started. The logs stay in DIR, and the next run goes on with them, as a
// registry goes on with its own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dcann/dcann/node/peer"
)

// names are the three processes'.
var names = [3]string{"n1", "n2", "n3"}

// load is what the leader is to do.
type load struct {
	Duration time.Duration `json:"duration"`
	WarmUp   time.Duration `json:"warmUp"`
	InFlight int           `json:"inFlight"` // entries proposed and not yet committed
}

// report is what it did. Only what was committed between the end of the warm-up and that of the duration counts.
type report struct {
	Operations int     `json:"operations"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"perSecond"`
	InFlight   int     `json:"inFlight"`
	EntryBytes int     `json:"entryBytes"`
	P50Micros  float64 `json:"p50Micros"` // of an entry, proposed to applied
	P99Micros  float64 `json:"p99Micros"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "raft:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("raft", flag.ExitOnError)
	dir := flags.String("dir", "", "where the three keep their logs")
	duration := flags.Duration("duration", 10*time.Second, "how long is measured")
	warmUp := flags.Duration("warm-up", time.Second, "how long is not, before")
	inFlight := flags.Int("inflight", 4, "entries proposed and not yet committed; a node has 4 under way")
	member := flags.String("member", "", "what this program calls itself with: one of the three")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" || *inFlight < 1 || *duration <= 0 || *warmUp < 0 {
		return errors.New("expected -dir, an -inflight of at least 1 and a -duration above 0")
	}
	if *member != "" {
		return serve(ctx, *dir, *member, os.Stdin, os.Stdout)
	}
	if err := certify(*dir); err != nil {
		return err
	}
	r, err := measure(ctx, *dir, load{Duration: *duration, WarmUp: *warmUp, InFlight: *inFlight})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(text))
	return err
}

// certify makes the files that the links want, anew at every run.
func certify(dir string) error {
	now := time.Now()
	authority, err := peer.NewAuthority("benchmark", now)
	if err != nil {
		return err
	}
	ca, _, err := authority.PEM()
	if err != nil {
		return err
	}
	for _, name := range names {
		home := filepath.Join(dir, name)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return err
		}
		cert, key, err := authority.Issue(name, nil, now, 24*time.Hour)
		if err != nil {
			return err
		}
		for file, text := range map[string][]byte{certFile: cert, keyFile: key, caFile: ca} {
			if err := os.WriteFile(filepath.Join(home, file), text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
