// Command echo is the reference of the benchmarks (DESIGN 15): a bare echo handler that writes what a
// node writes, headers included, without looking anything up. It asks the node once at its start what
// that is, and then needs it no more.
//
//	echo -node http://127.0.0.1:7400 -id did:dcann:xz:b… -created answer.http -listen 127.0.0.1:7499
//
// It serves the samples to GET /1.0/identifiers/:did and, after reading the body, to POST
// /v1/operations. It prints its address when it is ready and ends with SIGTERM.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
)

// sample is an answer as it goes over the wire.
type sample struct {
	status int
	header http.Header
	body   []byte
}

// hop are the headers that the server writes by itself, on both sides of the comparison.
var hop = []string{"Date", "Content-Length", "Connection", "Transfer-Encoding"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("echo", flag.ExitOnError)
	node := flags.String("node", "", "base URL of the node whose answer is copied")
	id := flags.String("id", "", "the passport whose answer is copied")
	created := flags.String("created", "", "file with a node's answer to an operation, headers and body")
	listen := flags.String("listen", "127.0.0.1:0", "address")
	if err := flags.Parse(args); err != nil {
		return err
	}
	e := echo.New()
	if *id != "" {
		resolved, err := fetch(ctx, *node+"/1.0/identifiers/"+*id)
		if err != nil {
			return err
		}
		e.GET("/1.0/identifiers/:did", resolved.serve)
	}
	if *created != "" {
		written, err := read(*created)
		if err != nil {
			return err
		}
		e.POST("/v1/operations", written.swallow)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second}
	fmt.Println("http://" + listener.Addr().String())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
		err = server.Close()
	case err = <-done:
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// serve answers without a look at what was asked.
func (s *sample) serve(c echo.Context) error {
	w := c.Response()
	header := w.Header()
	for name, values := range s.header {
		header[name] = values
	}
	w.WriteHeader(s.status)
	_, err := w.Write(s.body)
	return err
}

// swallow reads the whole body, as whoever stores it must, and answers.
func (s *sample) swallow(c echo.Context) error {
	if _, err := io.ReadAll(c.Request().Body); err != nil {
		return err
	}
	return s.serve(c)
}

func fetch(ctx context.Context, url string) (*sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	// As the load generator asks: without this Go would ask for gzip.
	request.Header.Set("Accept-Encoding", "identity")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	return take(answer, http.StatusOK)
}

func read(path string) (*sample, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return take(answer, http.StatusCreated)
}

func take(answer *http.Response, want int) (*sample, error) {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != want {
		return nil, fmt.Errorf("the node answered %d, expected %d: %.300s", answer.StatusCode, want, body)
	}
	header := http.Header{}
	for name, values := range answer.Header {
		if !slices.Contains(hop, name) {
			header[name] = values
		}
	}
	if len(answer.TransferEncoding) == 0 {
		header["Content-Length"] = []string{fmt.Sprint(len(body))}
	}
	return &sample{status: answer.StatusCode, header: header, body: body}, nil
}
