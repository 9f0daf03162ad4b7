package load

import (
	"fmt"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// MaxOperations is how many operations a passport may have within an hour (DESIGN 6, rule 7). The desks stay
// within it, so that no answer may speak of a quota.
const MaxOperations = 10

// holder signs for one passport. It is safe for concurrent use once made.
type holder struct {
	key    jws.PrivateKey
	create *registry.Operation
}

func newHolder(country registry.Country) (*holder, error) {
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		return nil, err
	}
	h := &holder{key: key}
	h.create, err = registry.Content{Act: registry.Create, Country: country, Iat: time.Now().Unix(), Record: h.record()}.Sign(key)
	if err != nil {
		return nil, fmt.Errorf("sign a create: %w", err)
	}
	return h, nil
}

// update signs a change on top of prev, which has seq. No two are the same: the decoys differ.
func (h *holder) update(prev registry.OpID, seq uint64) (*registry.Operation, error) {
	op, err := registry.Content{Act: registry.Update, ID: h.create.ID, Prev: prev, Seq: seq + 1, Iat: time.Now().Unix(), Record: h.record()}.Sign(h.key)
	if err != nil {
		return nil, fmt.Errorf("sign an update: %w", err)
	}
	return op, nil
}

func (h *holder) record() *registry.Record {
	return &registry.Record{
		Kind: registry.Passport, Rotation: []jws.Multikey{h.key.Public().Multikey()},
		Keys: nil, Strands: registry.PadStrands(nil),
	}
}
