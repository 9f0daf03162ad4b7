package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// The calls between nodes. Requests and replies are CBOR; a node of a newer release adds fields at the end
// of the structs here, which an older one skips.
const (
	methodHello      = "hello"      // does a cluster exist, and am I in it?
	methodAdmit      = "admit"      // to the leader: I have no data, take my vote until I have
	methodFollow     = "follow"     // to the leader: how far I am; how far are you?
	methodConfirm    = "confirm"    // from the leader: is this still the newest term that you know of?
	methodReadIndex  = "read-index" // to the leader: up to which index is everything committed?
	MethodSubmit     = "submit"     // to the leader: the original bytes of a write. It may wait for long, and there may be many
	methodMembership = "membership" // to the leader: join, remove, transfer
	methodOverview   = "overview"   // to the leader
	methodCheck      = "check"      // to the leader: compare all nodes
	methodHash       = "hash"       // from the leader: the state hash at an index
)

// MaxCall is how many bytes a request or a reply of a call may have.
const MaxCall = 1 << 20

// Answer replies to other nodes' calls; a Network gets it in Connect. Whatever went wrong is in the reply.
func (c *Cluster) answer(ctx context.Context, from, method string, request []byte) ([]byte, error) {
	switch method {
	case methodHello:
		return respond(ctx, request, func(_ context.Context, q helloRequest) (helloReply, error) { return c.hello(from, q) })
	case methodConfirm, methodFollow, methodReadIndex, MethodSubmit, methodAdmit, methodMembership, methodOverview, methodCheck, methodHash:
	default:
		return nil, fmt.Errorf("call %.40q: this release does not know it", method)
	}
	if c.running.Load() == nil {
		return reply(none{}, unavailable("node %s has not begun yet", c.cfg.Name))
	}
	if method != methodAdmit && method != methodConfirm && !member(c.members(), from) {
		// Unavailable: it says nothing of a write that a client sent to that node.
		return reply(none{}, errStranger)
	}
	switch method {
	case methodConfirm:
		return respond(ctx, request, c.onConfirm)
	case methodFollow:
		return respond(ctx, request, func(_ context.Context, r followRequest) (followReply, error) { return c.onFollow(from, r) })
	case methodReadIndex:
		return respond(ctx, request, c.onReadIndex)
	case MethodSubmit:
		return respond(ctx, request, c.onSubmit)
	case methodAdmit:
		return respond(ctx, request, func(ctx context.Context, _ none) (admitReply, error) { return c.admit(ctx, from) })
	case methodMembership:
		return respond(ctx, request, func(ctx context.Context, r membershipRequest) (none, error) {
			return none{}, c.onMembership(ctx, r)
		})
	case methodOverview:
		return respond(ctx, request, func(context.Context, none) (Overview, error) { return c.onOverview() })
	case methodCheck:
		return respond(ctx, request, c.onCheck)
	}
	return respond(ctx, request, c.onHash)
}

// none is a request or reply without content.
type none struct{}

// respond decodes the request, has do answer it, and encodes what it says.
func respond[Q, A any](ctx context.Context, request []byte, do func(context.Context, Q) (A, error)) ([]byte, error) {
	var q Q
	if err := decode(request, &q); err != nil {
		return nil, err
	}
	return reply(do(ctx, q))
}

// envelope is every reply: what was asked for, or an error that keeps its kind.
type envelope struct {
	Problem *problem        `cbor:"1,keyasint,omitempty"`
	Body    cbor.RawMessage `cbor:"2,keyasint,omitempty"`
}

// problem is a registry.Error between nodes.
type problem struct {
	Kind       registry.Kind    `cbor:"1,keyasint"`
	Detail     string           `cbor:"2,keyasint,omitempty"`
	Head       registry.OpID    `cbor:"3,keyasint,omitempty"`
	Country    registry.Country `cbor:"4,keyasint,omitempty"`
	RetryAfter time.Duration    `cbor:"5,keyasint,omitempty"`
	NotWritten bool             `cbor:"6,keyasint,omitempty"` // it is errNoLeader
	Stranger   bool             `cbor:"7,keyasint,omitempty"` // it is errStranger
}

func problemOf(err error) *problem {
	if err == nil {
		return nil
	}
	p := &problem{Kind: registry.KindOf(err), Detail: err.Error(), NotWritten: errors.Is(err, errNoLeader), Stranger: errors.Is(err, errStranger)}
	if own, ok := errors.AsType[*registry.Error](err); ok {
		p.Head, p.Country, p.RetryAfter = own.Head, own.Country, own.RetryAfter
	}
	return p
}

func (p *problem) err() error {
	switch {
	case p == nil:
		return nil
	case p.NotWritten:
		return errNoLeader
	case p.Stranger:
		return errStranger
	}
	return &registry.Error{Kind: p.Kind, Detail: p.Detail, Head: p.Head, Country: p.Country, RetryAfter: p.RetryAfter}
}

func reply[A any](answer A, err error) ([]byte, error) {
	if err != nil {
		return encode(envelope{Problem: problemOf(err)})
	}
	body, err := encode(answer)
	if err != nil {
		return nil, err
	}
	return encode(envelope{Body: body})
}

func openAnswer(data []byte, to any) error {
	var e envelope
	if err := decode(data, &e); err != nil {
		return err
	}
	if e.Problem != nil || to == nil {
		return e.Problem.err()
	}
	return decode(e.Body, to)
}

// resultOf and result are a state.Result between nodes.
type result struct {
	Problem  *problem      `cbor:"1,keyasint,omitempty"`
	Known    bool          `cbor:"2,keyasint,omitempty"`
	ID       registry.ID   `cbor:"3,keyasint,omitempty"`
	Op       registry.OpID `cbor:"4,keyasint,omitempty"`
	Seq      uint64        `cbor:"5,keyasint,omitempty"`
	Position uint64        `cbor:"6,keyasint,omitempty"`
	Index    uint64        `cbor:"7,keyasint,omitempty"`
}

func resultOf(r state.Result) result {
	return result{Problem: problemOf(r.Err), Known: r.Known, ID: r.ID, Op: r.Op, Seq: r.Seq, Position: r.Position, Index: r.Index}
}

func (r result) state() state.Result {
	return state.Result{Err: r.Problem.err(), Known: r.Known, ID: r.ID, Op: r.Op, Seq: r.Seq, Position: r.Position, Index: r.Index}
}

type callModes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// modes are how calls are written and read: bounded, and without what CBOR has beyond JSON.
var modes = func() callModes {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 8, MaxArrayElements: 1 << 12, MaxMapPairs: 1 << 8,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return callModes{enc, dec}
}()

func encode(v any) ([]byte, error) {
	data, err := modes.enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode a call: %w", err)
	}
	if len(data) > MaxCall {
		return nil, fmt.Errorf("a call has %d bytes: expected at most %d", len(data), MaxCall)
	}
	return data, nil
}

func decode(data []byte, v any) error {
	if len(data) > MaxCall {
		return fmt.Errorf("a call has %d bytes: expected at most %d", len(data), MaxCall)
	}
	if err := modes.dec.Unmarshal(data, v); err != nil {
		return unavailable("a call between nodes cannot be read: %v", err)
	}
	return nil
}

func hexOf(h [32]byte) string { return hex.EncodeToString(h[:]) }
