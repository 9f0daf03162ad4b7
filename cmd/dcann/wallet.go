package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// chain is a record's history, replayed and verified here. A wallet signs the whole record anew with each
// change, so what it builds on must be what the holder signed, not what a registry says it was: a
// rotation key slipped into the answer would otherwise be signed by its victim.
type chain struct {
	id      registry.ID
	policy  registry.Policy
	lineage *registry.Lineage
	records map[uint64]*registry.Record // by the seq of the operation that carried them
	entries []chainEntry
}

type chainEntry struct {
	wire.HistoryEntry
	operation *registry.Operation
}

// fetchChain fetches all operations of a record and replays them by the rules. The error's kind is
// Unverifiable when they do not hold, Gone when the record was erased.
func fetchChain(ctx context.Context, c *client.Client, id registry.ID) (*chain, error) {
	who, err := c.Registry(ctx)
	if err != nil {
		return nil, err
	}
	ch := &chain{id: id, policy: who.Policy, records: map[uint64]*registry.Record{}}
	for entry, err := range c.Operations(ctx, id) {
		if err != nil {
			return nil, err
		}
		if entry.Operation == "" {
			return nil, &registry.Error{Kind: registry.Gone, Detail: fmt.Sprintf("%s was erased", id)}
		}
		if err := ch.replay(entry); err != nil {
			return nil, &registry.Error{Kind: registry.Unverifiable, Detail: fmt.Sprintf("the registry's history of %s does not hold at seq %d: %v", id, entry.Seq, err)}
		}
	}
	if ch.lineage == nil {
		return nil, &registry.Error{Kind: registry.NotFound, Detail: fmt.Sprintf("%s has no operations", id)}
	}
	return ch, nil
}

// replay appends one operation.
func (ch *chain) replay(entry wire.HistoryEntry) error {
	op, err := registry.ParseOperation([]byte(entry.Operation))
	if err != nil {
		return err
	}
	if op.ID != ch.id || op.Name != entry.Op {
		return fmt.Errorf("operation %s of %s stands for %s of %s", op.Name, op.ID, entry.Op, ch.id)
	}
	verified, err := ch.check(op, entry.Time.Millis())
	if err != nil {
		return err
	}
	next := verified.Next()
	ch.lineage = &next
	if op.Record != nil {
		ch.records[op.Seq] = op.Record
	}
	ch.entries = append(ch.entries, chainEntry{HistoryEntry: entry, operation: op})
	return nil
}

// check judges op as the next operation, by the rules of the registry. Quotas and clock skew are not
// judged again: they may have been others.
func (ch *chain) check(op *registry.Operation, now registry.Millis) (registry.Verified, error) {
	policy := ch.policy
	policy.Country = ch.id.Country()
	policy.PerHour, policy.PerDay, policy.Deactivations, policy.MaxClockSkew = math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt64
	return ch.lineage.Check(op, registry.Env{
		Now: now, Policy: &policy, InForce: ch.inForce(),
		RecordAt: func(seq uint64) (*registry.Record, error) { return ch.records[seq], nil },
		Held:     func(registry.Digest) (registry.Disclosure, bool) { return registry.Disclosure{}, false },
	})
}

func (ch *chain) inForce() *registry.Record {
	if ch.lineage == nil {
		return nil
	}
	return ch.records[ch.lineage.RecordSeq]
}

// edit is a copy of the record in force that may be changed.
func (ch *chain) edit() *registry.Record { return cloneRecord(ch.inForce()) }

func cloneRecord(r *registry.Record) *registry.Record {
	c := *r
	c.Rotation, c.Keys, c.Strands = slices.Clone(r.Rotation), slices.Clone(r.Keys), slices.Clone(r.Strands)
	c.Roles, c.Endpoints, c.Uses = slices.Clone(r.Roles), slices.Clone(r.Endpoints), slices.Clone(r.Uses)
	return &c
}

// content is the beginning of the operation that comes after the head.
func (ch *chain) content(act registry.Act, iat int64) registry.Content {
	return registry.Content{Act: act, ID: ch.id, Prev: ch.lineage.Head, Seq: ch.lineage.Seq + 1, Iat: iat}
}

// expect refuses a record of the wrong kind before anything is signed.
func (ch *chain) expect(kind registry.RecordKind) error {
	if ch.lineage.Kind != kind {
		return usagef("%s is of kind %s: expected %s", ch.id, ch.lineage.Kind, kind)
	}
	return nil
}

// change fetches a record, lets edit change a copy of it, signs an update and submits it.
func (a *app) change(ctx context.Context, arg, keyFile string, kind registry.RecordKind, edit func(ch *chain, r *registry.Record, key jws.PrivateKey) ([]registry.Disclosure, error)) (client.Result, error) {
	s, err := a.lookToSign(ctx, arg, keyFile)
	if err != nil {
		return client.Result{}, err
	}
	defer s.Close()
	if err := s.chain.expect(kind); err != nil {
		return client.Result{}, err
	}
	content := s.chain.content(registry.Update, a.clock())
	content.Record = s.chain.edit()
	disclosures, err := edit(s.chain, content.Record, s.key)
	if err != nil {
		return client.Result{}, err
	}
	op, err := content.Sign(s.key, disclosures...)
	if err != nil {
		return client.Result{}, configError(err)
	}
	return a.submit(ctx, s.Client, op)
}
