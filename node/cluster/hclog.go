package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// RaftLogger routes what hashicorp/raft and its transport log to log.
func RaftLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(slogSink{log.With("component", "raft")})
	return l
}

type slogSink struct{ log *slog.Logger }

// Accept implements hclog.SinkAdapter. Raft's levels are taken down by one: its every election is an
// "info", and a refused vote a "warn".
func (s slogSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	at := slog.LevelDebug
	switch level {
	case hclog.Warn:
		at = slog.LevelInfo
	case hclog.Error:
		at = slog.LevelWarn
	}
	if !s.log.Enabled(context.Background(), at) {
		return
	}
	for i, a := range args {
		switch a := a.(type) {
		case hclog.Format:
			args[i] = fmt.Sprintf(a[0].(string), a[1:]...)
		case fmt.Stringer:
			args[i] = a.String()
		}
	}
	s.log.Log(context.Background(), at, msg, args...)
}
