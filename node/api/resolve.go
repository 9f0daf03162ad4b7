package api

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// Of POST /v1/resolve. A batch is cut into chunks, which are rendered by several goroutines and written in
// order. Many read at a time, as each may wait for the disk; those ahead of the reader are few, so that a
// slow one costs little memory: usually 1 MiB, and 32 MiB if every record is as large as can be.
const (
	chunkSize  = 32      // identifiers
	batchWidth = 16      // goroutines of one batch
	chunkAhead = 4       // chunks that are done and wait for the reader, beside those being rendered
	bigChunk   = 1 << 18 // bytes: a buffer that grew beyond is not kept
)

// chunk is a part of a batch and its lines once done is closed.
type chunk struct {
	ids  []string
	out  *[]byte
	done chan struct{}
}

var chunkBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 64<<10)
	return &b
}}

// resolveBatch answers POST /v1/resolve.
func (s *Server) resolveBatch(c echo.Context) error {
	r := c.Request()
	if err := expectType(r, wire.TypeJSON); err != nil {
		return err
	}
	done, err := s.share(r, s.limits.resolves) // before the body, which may come slowly
	if err != nil {
		return err
	}
	defer done()
	body, err := readBody(c, wire.MaxResolveBytes)
	if err != nil {
		return err
	}
	ids, err := parseIdentifiers(body)
	if err != nil {
		return err
	}
	_, fresh, err := readQuery(r)
	if err != nil {
		return err
	}
	at, err := s.gate(r.Context(), fresh)
	if err != nil {
		return err
	}
	s.limits.charge(r, len(ids)/wire.ResolveCost)
	s.metrics.ids.Add(float64(len(ids)))

	w := newStream(c, s.config.WriteTimeout)
	common(w.header())
	w.header()["Content-Type"] = valueNDJSON
	w.header()["Cache-Control"] = valueNoStore
	at.put(w.header())
	return s.resolveAll(ids, w, requestID(c))
}

// parseIdentifiers reads a JSON array of strings, at most wire.MaxResolve. What an identifier is made of
// needs no escapes; a text with any, or with what is no plain array, goes to the strict parser. The
// error's kind is Invalid or TooLarge.
func parseIdentifiers(body []byte) ([]string, error) {
	ids, ok := scanStrings(string(body))
	if !ok {
		ids = nil
		if err := jws.DecodeJSON(body, &ids); err != nil {
			return nil, invalid("body: %v: expected an array of identifiers", err)
		}
	}
	if len(ids) > wire.MaxResolve {
		return nil, refuse(registry.TooLarge, "body has %d identifiers: expected at most %d", len(ids), wire.MaxResolve)
	}
	return ids, nil
}

// scanStrings splits ["a","b"] without unescaping; false if that is not all there is to it. The strings
// share text.
func scanStrings(text string) (list []string, ok bool) {
	i := space(text, 0)
	if i == len(text) || text[i] != '[' {
		return nil, false
	}
	list = make([]string, 0, min(len(text)/72+1, wire.MaxResolve+1))
	if i = space(text, i+1); i < len(text) && text[i] == ']' {
		return list, space(text, i+1) == len(text)
	}
	for {
		if i = space(text, i); i == len(text) || text[i] != '"' {
			return nil, false
		}
		start := i + 1
		for i = start; i < len(text) && text[i] != '"'; i++ {
			if c := text[i]; c == '\\' || c < ' ' || c > '~' {
				return nil, false
			}
		}
		if i == len(text) {
			return nil, false
		}
		list = append(list, text[start:i])
		if i = space(text, i+1); i == len(text) {
			return nil, false
		}
		switch text[i] {
		case ',':
			i++
		case ']':
			return list, space(text, i+1) == len(text)
		default:
			return nil, false
		}
	}
}

func space(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// resolveAll renders the lines of all ids and writes them in order. It returns when all goroutines it
// started have ended. An error is that of the connection: there is nobody to tell. request is for the log.
func (s *Server) resolveAll(ids []string, w *stream, request string) error {
	width := min(batchWidth, (len(ids)+chunkSize-1)/chunkSize)
	work, order := make(chan *chunk), make(chan *chunk, width+chunkAhead)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer close(work)
		defer close(order)
		for len(ids) > 0 {
			n := min(chunkSize, len(ids))
			next := &chunk{ids: ids[:n], done: make(chan struct{})}
			ids = ids[n:]
			select {
			case order <- next: // blocks while the reader is behind
			case <-stop:
				return
			}
			select {
			case work <- next:
			case <-stop:
				return
			}
		}
	})
	for range width {
		running.Go(func() {
			for part := range work {
				s.workers <- struct{}{} // the batches together leave something for others
				s.renderChunk(part, request)
				<-s.workers
				close(part.done)
			}
		})
	}
	err := writeInOrder(order, w)
	close(stop)
	running.Wait()
	if err != nil {
		return nil
	}
	w.finish()
	return nil
}

func writeInOrder(order <-chan *chunk, w *stream) error {
	for part := range order {
		<-part.done
		err := w.write(*part.out)
		if cap(*part.out) <= bigChunk {
			*part.out = (*part.out)[:0]
			chunkBuffers.Put(part.out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) renderChunk(part *chunk, request string) {
	part.out = chunkBuffers.Get().(*[]byte)
	now := registry.MillisOf(time.Now())
	for _, id := range part.ids {
		*part.out = s.appendResolved(*part.out, id, now, request)
	}
}

// appendResolved writes one line (wire.ResolveLine). A panic is that line's failure: in this goroutine it
// would otherwise end the process.
func (s *Server) appendResolved(dst []byte, did string, now registry.Millis, request string) (out []byte) {
	start := len(dst)
	defer func() {
		if p := recover(); p != nil {
			out = s.appendRefused(dst[:start], did, request, caught(p))
		}
	}()
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, did)
	dst = append(dst, `,"status":200,"record":`...)
	if a, ok := s.cached(registry.ID(did), asRecord); ok {
		dst = append(dst, a.body...)
		return append(dst, '}', '\n')
	}
	id, err := registry.ParseID(did)
	if err != nil {
		return s.appendRefused(dst[:start], did, request, err)
	}
	v, err := s.view(id)
	if err != nil {
		return s.appendRefused(dst[:start], did, request, err)
	}
	from := len(dst)
	dst = appendRecord(dst, v, now)
	if s.worthKeeping(id, asRecord) {
		s.keep(id, asRecord, newRendered(http.StatusOK, valueJSON, nil, bytes.Clone(dst[from:]), v, now))
	}
	return append(dst, '}', '\n')
}

// appendRefused is the line of an identifier that has no record here.
func (s *Server) appendRefused(dst []byte, did, request string, err error) []byte {
	problem := s.lineProblem(request, err)
	if len(did) > maxEcho {
		did = did[:maxEcho]
	}
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, did)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(problem.Status), 10)
	dst = append(dst, `,"problem":`...)
	return append(appendProblem(dst, problem), '}', '\n')
}

// maxEcho is how much is said back of what should have been an identifier, in bytes.
const maxEcho = 128

func appendProblem(dst []byte, p wire.Problem) []byte {
	body, err := wire.Encode(p)
	if err != nil {
		return append(dst, `{"type":"about:blank","title":"Internal Server Error","status":500}`...)
	}
	return append(dst, body...)
}
