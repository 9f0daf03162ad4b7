package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
)

// process is dcann serve as a process of its own, on a data directory that outlives it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	client *client.Client
}

// start runs a node on data and waits until it answers.
func start(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready")
	p := &process{t: t}
	args := append([]string{"serve", "--dev", "--data", data, "--http", "127.0.0.1:0", "--admin", "off", "--ready-file", ready, "--min-free", "1048576"}, flags...)
	p.cmd = exec.Command("dcann", args...)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	var r readiness
	if err := waitReady(ready, &r); err != nil {
		p.stop(syscall.SIGKILL)
		t.Fatalf("the node does not get ready: %v\n%s", err, &p.stderr)
	}
	var err error
	if p.client, err = client.New(r.HTTP, client.Options{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// stop sends a signal and waits for the end of the process; it returns the exit code, -1 if it was killed.
func (p *process) stop(signal os.Signal) int {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(signal)
		_ = p.cmd.Wait()
	}
	if p.client != nil {
		p.client.Close()
	}
	return p.cmd.ProcessState.ExitCode()
}

// acknowledged is an operation that a registry said it has.
type acknowledged struct {
	id  registry.ID
	op  registry.OpID
	seq uint64
}

// write makes one passport and changes it, and calls each with every operation that was acknowledged. It
// ends at the first error.
func write(ctx context.Context, c *client.Client, changes int, each func(acknowledged)) error {
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		return err
	}
	content := registry.Content{Act: registry.Create, Country: "xz"}
	for range 1 + changes {
		content.Iat = time.Now().Unix()
		content.Record = &registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{key.Public().Multikey()}, Strands: registry.PadStrands(nil)}
		op, err := content.Sign(key)
		if err != nil {
			return err
		}
		result, err := c.Submit(ctx, op.Bytes())
		if err != nil {
			return err
		}
		each(acknowledged{result.ID, result.Op, result.Seq})
		content = registry.Content{Act: registry.Update, ID: op.ID, Prev: op.Name, Seq: op.Seq + 1}
	}
	return nil
}

// verify expects every acknowledged operation in the history that the node tells of its record.
func (p *process) verify(acks []acknowledged) {
	p.t.Helper()
	seen := map[registry.ID]map[registry.OpID]uint64{}
	for _, a := range acks {
		ops, ok := seen[a.id]
		if !ok {
			ops = map[registry.OpID]uint64{}
			ch, err := fetchChain(p.t.Context(), p.client, a.id)
			if err != nil {
				p.t.Fatalf("operation %d of %s was acknowledged: %v", a.seq, a.id, err)
			}
			for _, e := range ch.entries {
				ops[e.Op] = e.Seq
			}
			seen[a.id] = ops
		}
		if seq, ok := ops[a.op]; !ok || seq != a.seq {
			p.t.Fatalf("operation %s, %d of %s, was acknowledged and is not there", a.op, a.seq, a.id)
		}
	}
}
