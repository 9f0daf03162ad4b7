package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// asOf is as of when an answer is: the values of Dcann-Index and Dcann-Staleness, ready to be written.
type asOf struct{ index, staleness []string }

func (at asOf) put(h http.Header) {
	h["Dcann-Index"] = at.index
	h["Dcann-Staleness"] = at.staleness
}

// failed is err. That there is no such thing may be old, too, and its answer says as of when it is so.
func (at asOf) failed(c echo.Context, err error) error {
	re, ok := errors.AsType[*resolutionError](err)
	if registry.KindOf(err) == registry.NotFound || ok && re.code == wire.DIDNotFound {
		at.put(c.Response().Header())
	}
	return err
}

// asOf is what this node shows now. It is taken before anything is looked up.
func (s *Server) asOf() asOf {
	staleness := stalenessValue(s.cluster.Staleness())
	return asOf{index: s.indexValue(), staleness: staleness}
}

// indexHeader is the last Dcann-Index that was written, ready to be written again.
type indexHeader struct {
	index uint64
	value []string
}

// indexValue is the applied index as a header value. It changes with every write, but reads come between.
func (s *Server) indexValue() []string {
	last, now := s.index.Load(), s.cluster.AppliedIndex()
	if last.index == now {
		return last.value
	}
	next := &indexHeader{index: now, value: []string{strconv.FormatUint(now, 10)}}
	s.index.Store(next)
	return next.value
}

// writtenValue is Dcann-Index after a write that index shows. Where another node wrote, this one may not
// have applied it yet.
func (s *Server) writtenValue(index uint64) []string {
	if index > s.cluster.AppliedIndex() {
		return []string{strconv.FormatUint(index, 10)}
	}
	return s.indexValue()
}

// stalenessValues are the values of Dcann-Staleness that nearly all answers have, by seconds.
var stalenessValues = func() (values [64][]string) {
	for s := range values {
		values[s] = []string{strconv.Itoa(s)}
	}
	return values
}()

var valueUnknown = []string{wire.StalenessUnknown}

// stalenessValue is age in whole seconds, rounded up.
func stalenessValue(age time.Duration, known bool) []string {
	if !known {
		return valueUnknown
	}
	seconds := int64((max(age, 0) + time.Second - 1) / time.Second)
	if seconds < int64(len(stalenessValues)) {
		return stalenessValues[seconds]
	}
	return []string{strconv.FormatInt(seconds, 10)}
}
