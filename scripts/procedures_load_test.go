package scripts_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// newcomer is the create operation of another passport of country xa.
func newcomer() (*registry.Operation, error) {
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		return nil, err
	}
	return registry.Content{
		Act: registry.Create, Country: "xa", Iat: time.Now().Unix(),
		Record: &registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{key.Public().Multikey()}, Strands: registry.PadStrands(nil)},
	}.Sign(key)
}

// writer makes passports as long as a procedure lasts, as a client would that retries.
type writer struct {
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}

	mu  sync.Mutex
	ids []registry.ID // acknowledged
	err error         // the first that trying again did not get over
}

// write begins to write at all of the addresses of the guide, such as 7401.
func (d *desk) write(addresses ...string) *writer {
	d.t.Helper()
	var urls []string
	for _, a := range addresses {
		urls = append(urls, d.url(a))
	}
	c, err := client.New(strings.Join(urls, ","), client.Options{Retry: operatorsPatience})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &writer{t: d.t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		defer c.Close()
		for ctx.Err() == nil {
			id, err := submitOne(ctx, c)
			w.mu.Lock()
			if err == nil {
				w.ids = append(w.ids, id)
			} else if ctx.Err() == nil && w.err == nil {
				w.err = err
			}
			w.mu.Unlock()
			select {
			case <-time.After(5 * time.Millisecond): // the machine has other work
			case <-ctx.Done():
			}
		}
	}()
	d.t.Cleanup(func() { w.stop(); <-w.done })
	w.more(3)
	return w
}

func submitOne(ctx context.Context, c *client.Client) (registry.ID, error) {
	op, err := newcomer()
	if err != nil {
		return "", err
	}
	_, err = c.Submit(ctx, op.Bytes())
	return op.ID, err
}

// acknowledged is what was written so far.
func (w *writer) acknowledged() []registry.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ids[:len(w.ids):len(w.ids)]
}

// more waits until n more were acknowledged.
func (w *writer) more(n int) {
	w.t.Helper()
	begin, deadline := len(w.acknowledged()), time.Now().Add(operatorsPatience)
	for len(w.acknowledged()) < begin+n {
		if time.Now().After(deadline) {
			w.t.Fatalf("writing does not go on: %v", w.err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// end stops writing and returns what was acknowledged. No write may have failed.
func (w *writer) end() []registry.ID {
	w.t.Helper()
	w.stop()
	<-w.done
	if w.err != nil {
		w.t.Errorf("a write failed although it was tried again: %v", w.err)
	}
	return w.acknowledged()
}

// holds expects everything in the newest state, asked at each of the addresses, and that one can write there.
func (d *desk) holds(ids []registry.ID, addresses ...string) {
	d.t.Helper()
	for _, a := range addresses {
		if err := d.askFor(ids, d.url(a)); err != nil {
			d.t.Errorf("at %s: %v", a, err)
		}
	}
}

func (d *desk) askFor(ids []registry.ID, url string) error {
	c, err := client.New(url, client.Options{Retry: operatorsPatience, Consistency: wire.Linearizable})
	if err != nil {
		return err
	}
	defer c.Close()
	var missing []error
	if err := c.Resolve(d.t.Context(), ids, func(l wire.ResolveLine) error {
		if l.Record == nil {
			missing = append(missing, fmt.Errorf("an acknowledged passport is not there: %s: %w", l.ID, l.Problem.Err()))
		}
		return nil
	}); err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d are missing: %w", len(missing), len(ids), missing[0])
	}
	if _, err := submitOne(d.t.Context(), c); err != nil {
		return fmt.Errorf("one more write: %w", err)
	}
	return nil
}
