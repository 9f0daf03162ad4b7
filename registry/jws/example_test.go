package jws_test

import (
	"fmt"
	"log"

	"github.com/dcann/dcann/registry/jws"
)

// Sign a message, and check it as whoever receives it does.
func Example() {
	private, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		log.Fatal(err)
	}
	signed, err := jws.Sign(private, string(private.Public().Multikey()), "example+jwt", []byte(`{"v":1,"seq":0}`))
	if err != nil {
		log.Fatal(err)
	}

	received, err := jws.Parse([]byte(signed.Compact()), 8<<10)
	if err != nil {
		log.Fatal(err)
	}
	key, err := jws.ParseMultikey(received.Header().Kid)
	if err != nil {
		log.Fatal(err)
	}
	if err := received.Verify(key); err != nil {
		log.Fatal(err)
	}
	var payload struct {
		V   int  `json:"v"`
		Seq *int `json:"seq"` // 0 is legal and absence is not: a pointer
	}
	if err := jws.DecodeJSON(received.Payload(), &payload); err != nil {
		log.Fatal(err)
	}
	fmt.Println(received.Header().Typ, payload.V, payload.Seq != nil, received.Name() == signed.Name())

	fmt.Println(jws.DecodeJSON([]byte(`{"v":1,"seq":null}`), &payload))
	// Output:
	// example+jwt 1 true true
	// /seq: null, expected a value; leave the member out instead
}
