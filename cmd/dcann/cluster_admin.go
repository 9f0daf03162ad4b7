package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// operatorFlags name the node whose operator's address a command talks to.
type operatorFlags struct{ file, admin string }

func (o *operatorFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.file, "config", "", "file that the node was started with (dcann serve --config), which says where its operator's address is")
	f.StringVar(&o.admin, "admin", "", "the node's operator's address instead: unix:PATH or host:port")
}

// address is the operator's address that the flags or the environment name.
func (o *operatorFlags) address(a *app, c *cobra.Command) (string, error) {
	for _, name := range []string{"config", "admin"} {
		if err := a.fromEnv(c.Flags().Lookup(name)); err != nil {
			return "", err
		}
	}
	switch {
	case o.admin == node.AdminOff:
		return "", usagef("--admin is %q: expected unix:PATH or host:port, since the node is told by it what to do", o.admin)
	case o.admin != "":
		return o.admin, checkOperator(o.admin)
	case o.file == "":
		return "", usagef("%s needs --config, the file that a node was started with, or --admin: see %s --help", c.CommandPath(), c.CommandPath())
	}
	config, err := a.configOf(o.file)
	if err != nil {
		return "", err
	}
	switch config.Admin {
	case node.AdminOff:
		return "", usagef("%s: admin is %q: expected a node that has an operator's address", o.file, config.Admin)
	case "":
		return "unix:" + filepath.Join(config.Data, "admin.sock"), nil
	}
	return config.Admin, nil
}

// checkOperator refuses what is no operator's address.
func checkOperator(address string) error {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok && socket != "" {
		return nil
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return usagef("--admin is %q: expected unix:PATH or host:port", address)
	}
	return nil
}

// configOf is the configuration that dcann serve --config takes from file and the environment.
func (a *app) configOf(file string) (node.Config, error) {
	var s serveFlags
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.add(flags)
	if err := flags.Set("config", file); err != nil {
		return node.Config{}, err
	}
	if err := a.configure(flags); err != nil {
		return node.Config{}, err
	}
	return s.nodeConfig()
}

// operator makes calls to a node's operator's address.
type operator struct {
	app     *app
	address string // unix:PATH or host:port
	http    http.Client
}

// operator is for calls that take at most --timeout; without one, for those that copy a registry, as long
// as they take unless --timeout was given.
func (a *app) operator(address string, timeout time.Duration) *operator {
	network, where := "tcp", address
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		network, where = "unix", socket
	}
	return &operator{app: a, address: address, http: http.Client{Timeout: timeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, where)
		},
	}}}
}

// long is the time that a call may take which copies or compares a registry: what --timeout says, else as
// long as it takes.
func (a *app) long(c *cobra.Command) time.Duration {
	if c.Flags().Changed("timeout") {
		return a.timeout
	}
	return 0
}

// ask makes one call and returns an answer of 2xx, whose body the caller closes. What the node says
// instead is the error; that it cannot be reached has the kind Unavailable.
func (o *operator) ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := o.http.Do(req)
	if err != nil {
		detail := fmt.Sprintf("operator's address %s: %v: is the node running?", o.address, err)
		if timeout, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && timeout.Timeout() {
			detail = fmt.Sprintf("operator's address %s has not answered yet, and is not waited for any longer: the node may be doing it still, see dcann cluster status", o.address)
		}
		return nil, &registry.Error{Kind: registry.Unavailable, Detail: detail}
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	problem, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return nil, wire.ReadProblem(res.StatusCode, res.Header, problem, o.app.now())
}

// post makes a call that has no answer.
func (o *operator) post(ctx context.Context, path string, body []byte) error {
	res, err := o.ask(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// json makes a call; question and answer are JSON, and each may be nil.
func (o *operator) json(ctx context.Context, method, path string, question, answer any) error {
	var body []byte
	if question != nil {
		var err error
		if body, err = wire.Encode(question); err != nil {
			return err
		}
	}
	res, err := o.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &registry.Error{Kind: registry.Unavailable, Detail: fmt.Sprintf("operator's address %s: the answer broke off: %v", o.address, err)}
	}
	if answer == nil {
		return nil
	}
	return wire.Decode(text, answer)
}
