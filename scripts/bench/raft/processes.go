package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// What the driver and the three processes say to each other, one JSON object after the other:
//
//	member   {"address":"127.0.0.1:…"}           when its port is open
//	driver   {"members":{"n1":"127.0.0.1:…",…}}  then Raft starts
//	member   {"leader":true}                     when it leads and has committed; the others say nothing
//	driver   {"load":{…}}                        to the leader
//	member   {"report":{…}} or {"error":"…"}
//
// The end of its input ends a process.
type message struct {
	Address string            `json:"address,omitempty"`
	Members map[string]string `json:"members,omitempty"`
	Leader  bool              `json:"leader,omitempty"`
	Load    *load             `json:"load,omitempty"`
	Report  *report           `json:"report,omitempty"`
	Error   string            `json:"error,omitempty"`
}

// process is one of the three, seen from the driver.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	log  bytes.Buffer // what it complained of; to be read when it is gone
}

func start(ctx context.Context, dir, name string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-dir", filepath.Join(dir, name), "-member", name)
	p := &process{name: name, cmd: cmd}
	cmd.Stderr = &p.log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	return p, nil
}

func (p *process) say(m message) error { return json.NewEncoder(p.in).Encode(m) }

func (p *process) hear() (m message, err error) {
	if err := p.out.Decode(&m); err != nil {
		return m, fmt.Errorf("process %s: %w", p.name, err)
	}
	if m.Error != "" {
		return m, fmt.Errorf("process %s: %s", p.name, m.Error)
	}
	return m, nil
}

// end tells all of them, by the end of their input, and waits until they are gone. After a failure it shows
// what they complained of.
func end(all []*process, failed bool) error {
	var errs []error
	for _, p := range all {
		_ = p.in.Close() // it may be gone already
	}
	for _, p := range all {
		if err := p.cmd.Wait(); err != nil && !failed {
			errs = append(errs, fmt.Errorf("process %s: %w", p.name, err))
		}
		if failed || len(errs) > 0 {
			_, _ = p.log.WriteTo(os.Stderr)
		}
	}
	return errors.Join(errs...)
}

// patience is how long the three may take to find a leader.
const patience = 30 * time.Second

// measure runs the three processes for one measurement.
func measure(ctx context.Context, dir string, l load) (r *report, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience+l.WarmUp+2*l.Duration)
	defer cancel()
	var all []*process
	defer func() { err = errors.Join(err, end(all, err != nil)) }()
	members := map[string]string{}
	for _, name := range names {
		p, err := start(ctx, dir, name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
		m, err := p.hear()
		if err != nil {
			return nil, err
		}
		members[name] = m.Address
	}
	for _, p := range all {
		if err := p.say(message{Members: members}); err != nil {
			return nil, err
		}
	}
	return drive(ctx, all, l)
}

// heard is what a process said, or why it says nothing any more.
type heard struct {
	from *process
	message
	err error
}

// drive gives the load to whoever leads first and waits for its report.
func drive(ctx context.Context, all []*process, l load) (*report, error) {
	said := make(chan heard, len(all)) // each says at most what is waited for here, or ends
	for _, p := range all {
		go func() {
			for {
				m, err := p.hear()
				select {
				case said <- heard{p, m, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
	}
	var leader *process
	for {
		select {
		case h := <-said:
			switch {
			case h.err != nil:
				return nil, h.err
			case h.Leader && leader == nil:
				leader = h.from
				if err := leader.say(message{Load: &l}); err != nil {
					return nil, err
				}
			case h.Leader:
				return nil, fmt.Errorf("the lead went from %s to %s in the middle of the measurement", leader.name, h.from.name)
			case h.Report != nil:
				return h.Report, nil
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("no leader, or no report, in time: %w", ctx.Err())
		}
	}
}
