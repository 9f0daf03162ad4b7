package scripts_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/wire"
)

// listener follows the events of a registry from the first on.
type listener struct {
	mu      sync.Mutex
	events  map[uint64]wire.Event // by position
	made    map[registry.SubjectKey]bool
	dropped []error // why it had to connect again
	done    chan error
}

// listen follows at the addresses of the guide, the first of them as long as it answers.
func (d *desk) listen(addresses ...string) *listener {
	d.t.Helper()
	var urls []string
	for _, a := range addresses {
		urls = append(urls, d.url(a))
	}
	c, err := client.New(strings.Join(urls, ","), client.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	l := &listener{events: map[uint64]wire.Event{}, made: map[registry.SubjectKey]bool{}, done: make(chan error, 1)}
	ctx, stop := context.WithCancel(d.t.Context())
	go func() { l.done <- c.Events(ctx, client.Follow{Live: true, Disconnected: l.drop}, l.take) }()
	d.t.Cleanup(func() {
		stop()
		if err := <-l.done; !errors.Is(err, context.Canceled) {
			d.t.Errorf("following at %v ended: %v", addresses, err)
		}
		c.Close()
	})
	return l
}

func (l *listener) drop(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = append(l.dropped, err)
}

func (l *listener) take(e wire.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.events[e.Position]; ok {
		return fmt.Errorf("position %d came twice, as %+v and as %+v", e.Position, before, e)
	}
	l.events[e.Position] = e
	if e.Type == wire.EventCreate {
		l.made[registry.SubjectKey(e.Subject)] = true
	}
	return nil
}

// heard reports whether all of ids were told of.
func (l *listener) heard(ids []registry.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id registry.ID) bool { return !l.made[id.Subject()] })
}

func (l *listener) all() map[uint64]wire.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.events)
}

// TestEventsAreFollowedOnAnyNode: each node tells the same, live, and who follows goes on at another when one is lost.
func TestEventsAreFollowedOnAnyNode(t *testing.T) {
	t.Parallel()
	d := found(t)
	replica := d.open("Adding a read replica")
	for range 4 {
		replica.run("")
	}
	listeners := map[string]*listener{}
	for _, a := range []string{"7401", "7402", "7403", "7404"} {
		listeners[a] = d.listen(a)
	}
	moving := d.listen("7402", "7404")
	w := d.write("7401", "7403")
	live := w.acknowledged()
	for a, l := range listeners {
		d.await("events at "+a, func() bool { return l.heard(live) })
	}
	d.await("events before a node is lost", func() bool { return moving.heard(live) })
	d.kill("n2")
	w.more(5)
	ids := w.end()
	for _, a := range []string{"7401", "7403", "7404"} {
		d.await("all events at "+a, func() bool { return listeners[a].heard(ids) })
	}
	d.await("all events of who followed at n2", func() bool { return moving.heard(ids) })
	told := listeners["7401"].all()
	for a, l := range listeners {
		for position, e := range l.all() {
			if before, ok := told[position]; !ok || fmt.Sprint(before) != fmt.Sprint(e) {
				t.Errorf("position %d is %+v at %s: expected %+v", position, e, a, before)
			}
		}
	}
	if events := moving.all(); len(events) != len(told) {
		t.Errorf("who went on at another node saw %d events: expected %d", len(events), len(told))
	}
	if len(moving.dropped) == 0 {
		t.Error("who followed at n2 did not have to connect again: the test shows nothing")
	}
}
