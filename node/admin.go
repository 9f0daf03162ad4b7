package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// adminServer answers the operator: who can reach its listener may do all this, so there is no other check.
// What concerns the whole registry can be asked of any node. Bodies are JSON unless it says otherwise.
//
//	POST /scrub             erased data leaves the files now, instead of within Config.ScrubEvery
//	POST /policy            introduces the next policy (compact JWS), signed by an accreditation key of the one in force
//	POST /level             raises the level of commands (DESIGN 8; a number), once every node runs a release that knows it
//	GET  /cluster           cluster.Overview: all nodes, as the leader knows them
//	POST /cluster/join      joinRequest: a node becomes a member, a voter once it has caught up
//	POST /cluster/remove    removeRequest
//	POST /cluster/transfer  transferRequest: another node leads
//	POST /cluster/check     checkRequest -> cluster.CheckReport: compares the states of all nodes
//	GET  /backup            the state as an archive (node/archive), which ends in its checksum; with stale=true also from a
//	                        node that cannot confirm that it has everything that was acknowledged
//	GET  /metrics           as on the public listener
//	GET  /debug/pprof/      profiles (net/http/pprof)
func (n *Node) adminServer() *http.Server {
	mux := http.NewServeMux()
	n.adminWrites(mux)
	n.adminCluster(mux)
	mux.Handle("GET /backup", n.operator(n.backup))
	mux.Handle("GET /metrics", n.operator(func(s *session, w http.ResponseWriter, r *http.Request) {
		promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{
		Handler: notFromPages(mux), MaxHeaderBytes: wire.MaxHeaderBytes, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
}

// notFromPages refuses what a web page in the operator's browser sends: it can reach a loopback address, and
// says in these headers that it is one.
func notFromPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			http.Error(w, "the operator's calls are not for web pages", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (n *Node) adminWrites(mux *http.ServeMux) {
	mux.Handle("POST /scrub", n.adminCall(func(s *session, r *http.Request) error { return s.cluster.Scrub(r.Context()) }))
	mux.Handle("POST /policy", n.adminCall(func(s *session, r *http.Request) error {
		raw, err := io.ReadAll(io.LimitReader(r.Body, registry.MaxStatement+1))
		if err != nil {
			return invalid("policy: %v", err)
		}
		_, err = s.cluster.SubmitPolicy(r.Context(), raw)
		return err
	}))
	mux.Handle("POST /level", n.adminCall(func(s *session, r *http.Request) error {
		text, err := io.ReadAll(io.LimitReader(r.Body, maxLevel))
		if err != nil {
			return invalid("level: %v", err)
		}
		level, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil {
			return invalid("level: %v: expected a number", err)
		}
		_, err = s.cluster.SubmitLevel(r.Context(), uint32(level))
		return err
	}))
}

// The bodies of the calls that change the members.
type (
	joinRequest struct {
		Name    string `json:"name"`
		Address string `json:"address"` // host:port where the others reach it
		Replica bool   `json:"replica"`
	}
	removeRequest struct {
		Name string `json:"name"`
	}
	transferRequest struct {
		To string `json:"to"` // a voter; empty: whichever is furthest
	}
	checkRequest struct {
		Full bool `json:"full"` // read all rows from disk, too
	}
)

func (n *Node) adminCluster(mux *http.ServeMux) {
	mux.Handle("GET /cluster", n.operator(func(s *session, w http.ResponseWriter, r *http.Request) {
		o, err := s.cluster.Overview(r.Context())
		n.answer(w, r, o, err)
	}))
	mux.Handle("POST /cluster/join", n.adminCall(func(s *session, r *http.Request) error {
		var q joinRequest
		if err := readAdmin(r, &q); err != nil {
			return err
		}
		return s.cluster.Join(r.Context(), cluster.Peer{Name: q.Name, Address: q.Address}, q.Replica)
	}))
	mux.Handle("POST /cluster/remove", n.adminCall(func(s *session, r *http.Request) error {
		var q removeRequest
		if err := readAdmin(r, &q); err != nil {
			return err
		}
		return s.cluster.Remove(r.Context(), q.Name)
	}))
	mux.Handle("POST /cluster/transfer", n.adminCall(func(s *session, r *http.Request) error {
		var q transferRequest
		if err := readAdmin(r, &q); err != nil {
			return err
		}
		return s.cluster.TransferLeadership(r.Context(), q.To)
	}))
	mux.Handle("POST /cluster/check", n.operator(func(s *session, w http.ResponseWriter, r *http.Request) {
		var q checkRequest
		err := readAdmin(r, &q)
		var report cluster.CheckReport
		if err == nil {
			report, err = s.cluster.Check(r.Context(), q.Full)
		}
		n.answer(w, r, report, err)
	}))
}

// maxAdminBody is how many bytes the JSON of an operator's call may have.
const maxAdminBody = 64 << 10

func readAdmin(r *http.Request, to any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAdminBody))
	if err != nil {
		return invalid("the request: %v", err)
	}
	return jws.DecodeJSON(body, to)
}

// backup streams the state. What was sent when an error comes is cut off, so that nobody takes it for whole.
func (n *Node) backup(s *session, w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	stale, err := staleAsked(r)
	var copied *cluster.Checkpoint
	if err == nil {
		copied, err = s.cluster.Backup(r.Context(), stale)
	}
	if err != nil {
		n.answer(w, r, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(copied.Size(), 10))
	sent, err := copied.WriteTo(contextWriter{r.Context(), w})
	if err = errors.Join(err, copied.Close()); err != nil {
		n.log.Error("backup failed", "sent_bytes", sent, "error", err)
		panic(http.ErrAbortHandler)
	}
	h := copied.Header()
	if h.AsOf != nil {
		n.log.Warn("backup done, which may lack what other nodes acknowledged", "index", h.Index, "bytes", sent, "as_of", *h.AsOf)
		return
	}
	n.log.Info("backup done", "index", h.Index, "bytes", sent, "took", time.Since(began))
}

// staleAsked reads the parameter of GET /backup.
func staleAsked(r *http.Request) (bool, error) {
	given := r.URL.Query().Get("stale")
	if given == "" {
		return false, nil
	}
	stale, err := strconv.ParseBool(given)
	if err != nil {
		return false, invalid("stale %.20q: expected true or false", given)
	}
	return stale, nil
}

// contextWriter ends writing with its context.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// maxLevel is how many bytes the text of a level may have.
const maxLevel = 16

// partingTime is how long who asked may take to send or read the rest, once the session ends. A session waits for its
// requests, and what comes after it for that: one reader that stands still would keep the node from going on.
const partingTime = 2 * time.Second

// operator has handle answer from the present session, whose end ends the request.
func (n *Node) operator(handle func(*session, http.ResponseWriter, *http.Request)) http.Handler {
	return n.inSession(func(s *session) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(s.ended, func() {
				cancel()
				deadline := time.Now().Add(partingTime)
				control := http.NewResponseController(w)
				_, _ = control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline)
			})()
			handle(s, w, r.WithContext(ctx))
		})
	}, func(w http.ResponseWriter, _ *http.Request) { n.refuse(w, n.whyNot()) })
}

// adminCall answers 204, or the problem.
func (n *Node) adminCall(do func(*session, *http.Request) error) http.Handler {
	return n.operator(func(s *session, w http.ResponseWriter, r *http.Request) { n.answer(w, r, nil, do(s, r)) })
}

// answer answers with body, 204 if there is none, or the problem.
func (n *Node) answer(w http.ResponseWriter, r *http.Request, body any, err error) {
	if err != nil {
		n.log.Error("admin call failed", "path", r.URL.Path, "error", err)
		n.refuse(w, err) // the operator may know what is inside
		return
	}
	if r.Method != http.MethodGet {
		n.log.Info("admin call done", "path", r.URL.Path)
	}
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	text, err := wire.Encode(body)
	if err != nil {
		n.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", wire.TypeJSON)
	_, _ = w.Write(text)
}
