// Package jws is the signed text of the registry: strict compact JWS for two algorithms, the keys
// that sign it, and the strict JSON inside (DESIGN 4). It knows nothing of passports, operations or
// grants; it imports nothing else of this module, and everything that is signed goes through it.
//
// # Format
//
// A [Message] is a compact JWS (RFC 7515): three parts of base64url without padding, joined by dots.
//
//		eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiejZNa…In0 . eyJ2IjoxLCJhY3QiOiJjcmVhdGUi…fQ . 7Vx0…Bg
//		{"alg":"Ed25519","kid":"z6Mk…","typ":"…"}   {"v":1,"act":"create",…}           64 bytes
//
//	  - The header has exactly the members alg, kid and typ. alg is Ed25519 (RFC 9864) or ES256.
//	  - A key is a [Multikey]: multibase base58btc of a multicodec and the key's bytes, z6Mk… for
//	    Ed25519 and zDn… for P-256. The codec fixes the algorithm; a header that names another is refused.
//	  - A signature is 64 bytes. Ed25519: as the standard library checks it, cofactorless with canonical
//	    S, under a key that is a canonical point of the prime-order subgroup. ES256: r‖s over SHA-256,
//	    s in the lower half of the order.
//	  - A message is named by what was signed, not by its signature: "b" + base32(multihash(sha2-256(
//	    signing input))), so that a second valid signature over the same content is the same object.
//
// Every text has one spelling: what is decoded would encode to the same bytes again, or it is refused.
// Nothing is normalised on the way in. Sizes are checked before anything else is looked at.
//
// # Where to start
//
// Read message.go first: Parse, Verify and Name are what the rest of the house calls. key.go holds
// public keys, private.go the signing side, json.go the strict decoder, name.go the names.
//
// All functions are pure but [GenerateKey] and signing, which read the system's random source. All
// values are immutable once made and safe for concurrent use.
package jws
