package jws

import (
	"crypto/sha256"
	"encoding/base32"
)

// NameLen is the length in bytes of every name: "b" and 55 characters for 34 bytes.
const NameLen = 56

// A name is multibase base32 of a multihash: code 0x12 (sha2-256), length 0x20, the digest.
const (
	hashCode = 0x12
	hashLen  = sha256.Size
)

const nameAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

var nameEncoding = base32.NewEncoding(nameAlphabet).WithPadding(base32.NoPadding)

// NameOf names what was signed: "b" + base32(multihash(sha2-256(signingInput))), [NameLen] bytes
// (DESIGN 4). It is the suffix of an identifier when the input is that of a create operation.
func NameOf(signingInput []byte) string { return FormatName(sha256.Sum256(signingInput)) }

// FormatName writes a SHA-256 digest as a name.
func FormatName(digest [32]byte) string {
	var hash [2 + hashLen]byte
	hash[0], hash[1] = hashCode, hashLen
	copy(hash[2:], digest[:])
	var text [NameLen]byte
	text[0] = 'b'
	nameEncoding.Encode(text[1:], hash[:])
	return string(text[:])
}

// ParseName gives the digest that a name holds. It accepts exactly what [FormatName] writes. The
// error's kind is Invalid.
func ParseName(s string) ([32]byte, error) {
	var hash [2 + hashLen]byte
	if len(s) != NameLen || s[0] != 'b' {
		return [32]byte{}, invalid("name %s: expected b and %d characters of base32", quoted(s), NameLen-1)
	}
	// Decoded here and not by encoding/base32, which skips line ends and ignores trailing bits.
	var bits uint32
	held, n := 0, 0
	for i := 1; i < len(s); i++ {
		var v byte
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			v = c - 'a'
		case '2' <= c && c <= '7':
			v = c - '2' + 26
		default:
			return [32]byte{}, invalid("name %s: byte 0x%02x at %d, expected lower-case base32", quoted(s), c, i)
		}
		bits = bits<<5 | uint32(v)
		if held += 5; held >= 8 {
			held -= 8
			hash[n] = byte(bits >> held)
			n++
		}
	}
	if bits&(1<<held-1) != 0 {
		return [32]byte{}, invalid("name %s: trailing bits are not zero", quoted(s))
	}
	if hash[0] != hashCode || hash[1] != hashLen {
		return [32]byte{}, invalid("name %s: not a sha2-256 multihash, expected it to begin with bciq", quoted(s))
	}
	return [32]byte(hash[2:]), nil
}
