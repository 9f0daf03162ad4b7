package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// client makes a client of the registry that --registry names.
func (a *app) client() (*client.Client, error) { return a.clientThatReads("") }

// clientThatReads is client with another consistency of reads than the registry's.
func (a *app) clientThatReads(how wire.Consistency) (*client.Client, error) {
	c, err := client.New(a.registry, client.Options{
		Timeout: a.timeout, Retry: a.retry, Consistency: how, UserAgent: "dcann/" + buildVersion(),
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("--registry: %w", err)}
	}
	return c, nil
}

// parseID reads an identifier of the command line.
func parseID(arg string) (registry.ID, error) {
	id, err := registry.ParseID(arg)
	if err != nil {
		return "", usageError{err}
	}
	return id, nil
}

// session is what a command about one record works with.
type session struct {
	*client.Client
	chain *chain
	key   jws.PrivateKey // to sign with; none in a session that only looks
}

// look fetches and verifies the history of the record that arg names. The caller closes the session.
func (a *app) look(ctx context.Context, arg string) (*session, error) {
	id, err := parseID(arg)
	if err != nil {
		return nil, err
	}
	// What one signs on top of must be the newest, also of what an earlier run of this program wrote at another
	// node.
	c, err := a.clientThatReads(wire.Linearizable)
	if err != nil {
		return nil, err
	}
	ch, err := fetchChain(ctx, c, id)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &session{Client: c, chain: ch}, nil
}

// lookToSign is look for a command that signs, with the key in keyFile.
func (a *app) lookToSign(ctx context.Context, arg, keyFile string) (*session, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	s, err := a.look(ctx, arg)
	if err != nil {
		return nil, err
	}
	s.key = key
	return s, nil
}

// standing asks the registry who it is and what is in force there.
func (a *app) standing(ctx context.Context) (wire.Registry, error) {
	c, err := a.client()
	if err != nil {
		return wire.Registry{}, err
	}
	defer c.Close()
	return c.Registry(ctx)
}

// done shows the result of an operation or statement: its name, or what identifies it, on stdout.
func (a *app) done(result client.Result, text string) error {
	return a.show(result, func(w io.Writer) { _ = printLine(w, "%s", text) })
}

// submit sends an operation, and says what to do about a conflict.
func (a *app) submit(ctx context.Context, c *client.Client, op *registry.Operation) (client.Result, error) {
	result, err := c.Submit(ctx, op.Bytes())
	if errors.Is(err, registry.Conflict) {
		return result, fmt.Errorf("%w (somebody changed the record meanwhile: run the command again to build on the new head)", err)
	}
	return result, err
}

// clock is the time in seconds since 1970 that statements carry.
func (a *app) clock() int64 { return a.now().Unix() }

const (
	defaultTimeout = 30 * time.Second
)
