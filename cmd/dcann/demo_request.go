package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/dcann/dcann/registry/wire"
)

// request is what the story asks the registry, and the curl command for it, without the URL.
type request struct {
	method, path  string
	header, media string // one header
	body          string
	curl          string
}

// exchange asks until a node answers, as a client should: the next one when a node is not there, the same
// again when it says that it cannot answer now. Signed operations are safe to send twice. It leaves the
// body in s.last.
func (s *story) exchange(ctx context.Context, r request) (status, tries int, err error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	printed := ""
	for tries = 1; ; tries++ {
		base := s.cluster.nodes[s.asked].url
		if base != printed {
			url := base + r.path
			if strings.Contains(url, "?") {
				url = "'" + url + "'"
			}
			fmt.Fprintf(s.out, "\n   $ %s %s\n", r.curl, url)
			printed = base
		}
		status, err = s.try(ctx, base, r)
		switch {
		case err == nil && status != http.StatusServiceUnavailable:
			return status, tries, nil
		case ctx.Err() != nil && err == nil:
			return status, tries, nil // what it says is the error
		case ctx.Err() != nil:
			return 0, tries, err
		case err != nil:
			fmt.Fprintf(s.out, "   nobody is there: the same of another node\n")
			s.asked = (s.asked + 1) % len(s.cluster.nodes)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (s *story) try(ctx context.Context, base string, r request) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, strings.NewReader(r.body))
	if err != nil {
		return 0, err
	}
	req.Header.Set(r.header, r.media)
	res, err := s.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if index := res.Header.Get(wire.HeaderIndex); r.method == http.MethodPost && index != "" {
		s.index = index
	}
	s.last, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, err
}
