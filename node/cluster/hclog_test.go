package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestRaftLogsGoToSlog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := RaftLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
	l.Info("entering leader state")
	l.With("peer", "b").Warn("failed to contact", "servers", hclog.Fmt("%d of %d", 1, 3))
	l.Error("failed to commit logs", "error", "disk")
	got := out.String()
	for _, want := range []string{`level=INFO msg="failed to contact" component=raft peer=b servers="1 of 3"`, `level=WARN msg="failed to commit logs"`} {
		if !strings.Contains(got, want) {
			t.Errorf("log is\n%s\nexpected it to contain %s", got, want)
		}
	}
	if strings.Contains(got, "entering leader state") {
		t.Error("what Raft does every day is logged above debug")
	}
}
