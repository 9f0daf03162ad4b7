package node

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// adminServer answers the operator: who can reach its listener may do all this, so there is no other check.
//
//	POST /scrub          erased data leaves the files now, instead of within Config.ScrubEvery
//	POST /policy         introduces the next policy, signed by an accreditation key of the one in force
//	POST /level          raises the level of commands (DESIGN 8), once every node runs a release that knows it
//	GET  /metrics        as on the public listener
//	GET  /debug/pprof/   profiles (net/http/pprof)
func (n *Node) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /scrub", n.adminCall(func(r *http.Request) error { return n.cluster.Scrub(r.Context()) }))
	mux.HandleFunc("POST /policy", n.adminCall(func(r *http.Request) error {
		raw, err := io.ReadAll(io.LimitReader(r.Body, registry.MaxStatement+1))
		if err != nil {
			return invalid("policy: %v", err)
		}
		_, err = n.cluster.SubmitPolicy(r.Context(), raw)
		return err
	}))
	mux.HandleFunc("POST /level", n.adminCall(func(r *http.Request) error {
		text, err := io.ReadAll(io.LimitReader(r.Body, maxLevel))
		if err != nil {
			return invalid("level: %v", err)
		}
		level, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil {
			return invalid("level: %v: expected a number", err)
		}
		_, err = n.cluster.SubmitLevel(r.Context(), uint32(level))
		return err
	}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{
		Handler: mux, MaxHeaderBytes: wire.MaxHeaderBytes, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
}

// maxLevel is how many bytes the text of a level may have.
const maxLevel = 16

// adminCall answers 204, or the problem.
func (n *Node) adminCall(do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := do(r)
		if err == nil {
			n.log.Info("admin call done", "path", r.URL.Path)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		n.log.Error("admin call failed", "path", r.URL.Path, "error", err)
		p := wire.ProblemOf(err)
		p.Detail = err.Error() // the operator may know what is inside
		body, err := wire.Encode(p)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", wire.TypeProblem)
		w.WriteHeader(p.Status)
		_, _ = w.Write(body)
	}
}

// registerMetrics adds what is the whole node's to the metrics that api has of requests.
func (n *Node) registerMetrics() {
	gauge := func(name, help string, value func() float64) {
		n.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.metrics.MustRegister(&clusterCollector{cluster: n.cluster})
	gauge("dcann_disk_low", "1 if writes are refused for want of free disk.", func() float64 {
		if n.cluster.Status().Free < n.config.MinFree {
			return 1
		}
		return 0
	})
	gauge("dcann_journal_entries", "Entries of the journal.", func() float64 { return float64(n.store.NextPosition()) })
	gauge("dcann_state_disk_bytes", "Bytes of the state on disk.", func() float64 { return float64(n.store.Metrics().DiskBytes) })
}
