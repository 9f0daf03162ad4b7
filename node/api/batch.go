package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// batchWindow is how many lines of a batch of operations are under way at a time: enough to fill an entry
// of the log, few enough to bound what a batch holds in memory, about 32 MiB at worst.
const batchWindow = 512

// batchItem is one line of a batch. It is done when done is closed; the fields are then fixed.
type batchItem struct {
	done   chan struct{}
	result state.Result
	err    error
}

// operationBatch answers POST /v1/operations/batch. Lines for one identifier are submitted in the order of
// the file, each when the one before has succeeded; others in parallel (DESIGN 8). The results are written
// when the last line was read: a client may send all before it reads.
func (s *Server) operationBatch(c echo.Context) error {
	r := c.Request()
	if _, err := query(r); err != nil {
		return err
	}
	if err := expectType(r, wire.TypeNDJSON); err != nil {
		return err
	}
	if r.ContentLength > wire.MaxBatchBytes {
		return refuse(registry.TooLarge, "body has %d bytes: expected at most %d", r.ContentLength, wire.MaxBatchBytes)
	}
	done, err := s.share(r, s.limits.batches)
	if err != nil {
		return err
	}
	defer done()
	select {
	case s.batches <- struct{}{}:
		defer func() { <-s.batches }()
	case <-time.After(wire.MaxWait):
		return refuse(registry.Unavailable, "%d batches are being taken in already", cap(s.batches))
	case <-r.Context().Done():
		return r.Context().Err()
	}
	items, err := s.takeIn(c)
	if err != nil {
		c.Set(unreadKey, true)
		return err
	}
	w := newStream(c, s.config.WriteTimeout)
	common(w.header())
	w.header()["Content-Type"] = valueNDJSON
	w.header()["Cache-Control"] = valueNoStore
	w.header()["Dcann-Index"] = s.writtenValue(shownFrom(items))
	c.Response().WriteHeader(http.StatusOK)
	var line []byte
	for _, item := range items {
		line = s.appendItem(line, item, requestID(c))
		if len(line) >= 32<<10 {
			if w.write(line) != nil {
				return nil // nobody to tell
			}
			line = line[:0]
		}
	}
	if w.write(line) == nil {
		w.finish()
	}
	return nil
}

// shownFrom is the index from which all of items are shown.
func shownFrom(items []*batchItem) (index uint64) {
	for _, item := range items {
		index = max(index, item.result.Index)
	}
	return index
}

// takeIn reads all lines, submits them and returns when all are done. An error is of the body as a whole:
// what was read before it has been submitted, and can be sent again.
func (s *Server) takeIn(c echo.Context) ([]*batchItem, error) {
	var (
		items   []*batchItem
		last    = make(map[registry.ID]*batchItem)
		window  = make(chan struct{}, batchWindow)
		running sync.WaitGroup
	)
	defer running.Wait()
	r := c.Request()
	lines := newLines(c, s.config)
	for {
		text, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(items) == wire.MaxBatch {
			return nil, refuse(registry.TooLarge, "body has more than %d lines", wire.MaxBatch)
		}
		s.limits.charge(r, wire.BatchCost)
		window <- struct{}{}
		item := &batchItem{done: make(chan struct{})}
		items = append(items, item)
		raw, id, err := batchLine(text)
		if err != nil {
			item.err = err
			close(item.done)
			<-window
			continue
		}
		before := last[id]
		last[id] = item
		running.Go(func() {
			defer func() { <-window }()
			defer close(item.done)
			s.submitItem(r, item, before, raw)
		})
	}
	running.Wait()
	return items, nil
}

// batchLine reads a line as far as is needed to put it in its row: the operation and whose it is. Its
// signature is checked later, by many at once.
func batchLine(text []byte) (raw []byte, id registry.ID, err error) {
	var operation string
	if err := jws.DecodeJSON(text, &operation); err != nil {
		return nil, "", invalid("line: %v: expected a JSON string of an operation", err)
	}
	raw = []byte(operation)
	op, err := registry.ReplayOperation(raw)
	if err != nil {
		return nil, "", err
	}
	return raw, op.ID, nil
}

// submitItem fills item in. A panic is that line's failure: in this goroutine it would otherwise end the
// process.
func (s *Server) submitItem(r *http.Request, item, before *batchItem, raw []byte) {
	defer func() {
		if p := recover(); p != nil {
			item.err = caught(p)
		}
	}()
	op, err := s.parse(raw)
	if err != nil {
		item.err = err
		return
	}
	if before != nil {
		<-before.done
		if before.err != nil {
			item.err = refuse(registry.Conflict, "an earlier line of this batch for %s failed", op.ID)
			item.result = state.Result{ID: op.ID, Op: op.Name}
			return
		}
	}
	if item.result, item.err = s.submit(r, op); item.err != nil {
		item.result = state.Result{ID: op.ID, Op: op.Name}
	}
}

// parse reads an operation and checks its signature, as many at a time as there are processors.
func (s *Server) parse(raw []byte) (*registry.Operation, error) {
	s.parsing <- struct{}{}
	defer func() { <-s.parsing }()
	return registry.ParseOperation(raw)
}

// appendItem writes one line (wire.BatchLine). request is for the log.
func (s *Server) appendItem(dst []byte, item *batchItem, request string) []byte {
	status := http.StatusCreated
	var problem wire.Problem
	switch {
	case item.err != nil:
		problem = s.lineProblem(request, item.err)
		status = problem.Status
	case item.result.Known:
		status = http.StatusOK
	}
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	if item.result.ID != "" {
		dst = appendMember(dst, "id", item.result.ID)
		dst = appendMember(dst, "op", item.result.Op)
	}
	if item.err != nil {
		dst = appendProblem(appendName(dst, "problem"), problem)
	} else {
		dst = appendUint(dst, "seq", item.result.Seq)
		dst = appendUint(dst, "position", item.result.Position)
		dst = appendUint(dst, "index", item.result.Index)
	}
	return append(dst, '}', '\n')
}

// lines reads NDJSON of bounded size. The sender may neither fall silent nor take longer than its time in
// all, or a batch of slow lines would keep its place for days.
type lines struct {
	in      *bufio.Reader
	control *http.ResponseController
	timeout time.Duration
	whole   time.Duration
	end     time.Time
	left    int64
	number  int
}

func newLines(c echo.Context, config Config) *lines {
	return &lines{
		in:      bufio.NewReaderSize(c.Request().Body, wire.MaxBatchLine+2),
		control: http.NewResponseController(c.Response().Writer),
		timeout: config.ReadTimeout, whole: config.MaxBatchTime, end: time.Now().Add(config.MaxBatchTime),
		left: wire.MaxBatchBytes,
	}
}

// next is the next line that is not empty, valid until the call after; io.EOF after the last. The error's
// kind is TooLarge or Invalid.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.read()
		l.number++
		if l.left -= int64(len(line)); l.left < 0 {
			return nil, refuse(registry.TooLarge, "body has more than %d bytes", wire.MaxBatchBytes)
		}
		late := !time.Now().Before(l.end)
		switch {
		case errors.Is(err, bufio.ErrBufferFull), len(bytes.TrimRight(line, "\r\n")) > wire.MaxBatchLine:
			return nil, refuse(registry.TooLarge, "line %d has more than %d bytes", l.number, wire.MaxBatchLine)
		case late && err != io.EOF:
			return nil, invalid("body was not sent within %v: expected smaller batches", l.whole)
		case err != nil && err != io.EOF:
			return nil, unread(err)
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			return line, nil
		}
		if err == io.EOF {
			return nil, io.EOF
		}
	}
}

// read is ReadSlice under a deadline that ends with it. Once the body is at its end net/http listens on the
// connection for the client to go away, and a deadline that was left behind would pass for that: the
// request's context would end while its operations are still under way.
func (l *lines) read() ([]byte, error) {
	if l.in.Buffered() > 0 {
		if line, err := l.in.Peek(l.in.Buffered()); err == nil && bytes.IndexByte(line, '\n') >= 0 {
			return l.in.ReadSlice('\n')
		}
	}
	l.deadline()
	line, err := l.in.ReadSlice('\n')
	if err == nil || err == io.EOF {
		_ = l.control.SetReadDeadline(time.Time{})
	}
	return line, err
}

// deadline gives the sender its time for the next piece. It is best effort: tests have no connection.
func (l *lines) deadline() {
	at := time.Now().Add(l.timeout)
	if l.end.Before(at) {
		at = l.end
	}
	_ = l.control.SetReadDeadline(at)
}
