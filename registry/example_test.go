package registry_test

import (
	"fmt"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// A wallet predicts what a registry will answer: a stolen second key changes the passport, and the first
// key, kept at home, undoes it.
func ExampleHistory() {
	home, phone := newKey(), newKey()
	policy := registry.DefaultPolicy("qm")
	policy.Accreditation = []jws.Multikey{newKey().Public().Multikey()}
	history := registry.NewHistory(&policy)
	now := registry.MillisOf(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))

	mine := &registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{home.Public().Multikey(), phone.Public().Multikey()}}
	create := submit(history, now, phone, registry.Content{Act: registry.Create, Country: "qm", Record: mine})
	theft := submit(history, now+1000, phone, registry.Content{
		Act: registry.Update, ID: create.ID, Prev: create.Name, Seq: 1,
		Record: &registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{phone.Public().Multikey()}},
	})
	final, _ := history.Lineage(create.ID).FinalAt(policy.Window())
	fmt.Println("can be undone until", final.Time().Format(time.DateTime))
	submit(history, now+2000, home, registry.Content{
		Act: registry.Recover, ID: create.ID, Prev: theft.Name, Seq: 2, Undo: theft.Name, Record: mine,
	})
	fmt.Println("undone:", history.Operations(create.ID)[1].Undone)
	// Output:
	// can be undone until 2026-11-24 12:00:01
	// undone: true
}

func newKey() jws.PrivateKey {
	k, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		panic(err)
	}
	return k
}

func submit(h *registry.History, now registry.Millis, k jws.Signer, c registry.Content) *registry.Operation {
	c.Iat = now.Unix()
	op, err := c.Sign(k)
	if err != nil {
		panic(err)
	}
	if _, err := h.Submit(op, now); err != nil {
		panic(err)
	}
	return op
}
