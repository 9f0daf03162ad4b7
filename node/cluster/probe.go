package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/dcann/dcann/registry"
)

// Prober is implemented by Links that can ask a node at an address which may not be where they know it.
type Prober interface {
	Probe(ctx context.Context, name, address, method string, request []byte) (reply []byte, err error)
}

// probe asks the node that is to be a member, before anything is changed: a wrong address would cut it off, or
// cost its vote.
func (c *Cluster) probe(ctx context.Context, r membershipRequest) error {
	links, ok := c.links.(Prober)
	if !ok {
		return nil
	}
	answer, err := hail(ctx, links, r)
	switch {
	case err != nil:
		return unavailable("node %s does not answer at %s: %v; nothing was changed: start it first, or say where it is", r.Name, r.Address, err)
	case answer.Begun && c.wentOnWithout(r.Name):
		return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("node %s runs with the data of before this registry was recovered without it: stop it, empty its data directory, start it and join it", r.Name)}
	case answer.MaxLevel < c.st.Level():
		return &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf("node %s runs version %s, which knows levels up to %d, and this registry is at level %d: upgrade it first", r.Name, answer.Version, answer.MaxLevel, c.st.Level())}
	case answer.Replica && !r.Replica:
		return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("node %s is a replica by its own settings: join it as one (--replica), or change its settings", r.Name)}
	case r.Replica && !answer.Replica:
		return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("node %s is no replica by its own settings: expected replica: true there, or that it is joined to vote", r.Name)}
	}
	return nil
}

// hail says hello to a node that may have been started a moment ago.
func hail(ctx context.Context, links Prober, r membershipRequest) (answer helloReply, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	request, err := encode(none{})
	if err != nil {
		return answer, err
	}
	for {
		data, failed := links.Probe(ctx, r.Name, r.Address, methodHello, request)
		if failed == nil {
			return answer, openAnswer(data, &answer)
		}
		if err == nil || ctx.Err() == nil { // what was wrong before the time was over says more
			err = failed
		}
		select {
		case <-time.After(beginPoll):
		case <-ctx.Done():
			return answer, err
		}
	}
}

// probeTime is how long a node that is to join may take to answer.
const probeTime = 5 * time.Second
