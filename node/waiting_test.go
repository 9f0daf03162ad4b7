package node

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry/wire"
)

// newcomerConfig is that of a node which waits to be joined to a registry of which nobody answers.
func newcomerConfig(t *testing.T) Config {
	t.Helper()
	c := Config{
		Data: filepath.Join(t.TempDir(), "data"), HTTP: "127.0.0.1:0", Admin: AdminOff, MinFree: 1 << 20,
		Name: "n4", NodeListen: "127.0.0.1:0", Nodes: []cluster.Peer{{Name: "n1", Address: "127.0.0.1:1"}},
	}
	c.NodeCert, c.NodeKey, c.NodeCA = newHouse(t).issue("n4")
	return c
}

// A node that waited for others was taken at its second start for one that has begun, since there was a log, if an
// empty one: it waited before it answered anything, /livez too.
func TestANodeThatWaitsAnswersAtEveryStart(t *testing.T) {
	t.Parallel()
	c := newcomerConfig(t)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		n, err := Open(ctx, c, "test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		get := func(path string) (status int, body string) {
			r, err := http.Get(n.URL() + path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			return r.StatusCode, string(text)
		}
		if status, _ := get(wire.PathLive); status != http.StatusOK {
			t.Errorf("%s: %d", wire.PathLive, status)
		}
		for said := ""; !strings.Contains(said, "n1 at 127.0.0.1:1"); {
			status, body := get(wire.PathReady)
			if said = body; status != http.StatusServiceUnavailable || ctx.Err() != nil {
				t.Fatalf("%s: %d %s", wire.PathReady, status, body)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(c.Data, raftDir)); err != nil {
			t.Fatal(err)
		}
	}
}
