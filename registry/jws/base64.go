package jws

import (
	"encoding/base64"
	"errors"
)

// strictBase64 refuses padding, the standard alphabet and stray trailing bits. It still skips line
// ends anywhere in its input, which is why every decoding here looks for them first.
var strictBase64 = base64.RawURLEncoding.Strict()

// EncodeBase64 is base64url without padding (RFC 4648 section 5, as in RFC 7515).
func EncodeBase64(b []byte) string { return strictBase64.EncodeToString(b) }

// DecodeBase64 decodes base64url without padding. It accepts exactly what [EncodeBase64] writes: no
// padding, no line ends, no other alphabet, no trailing bits that are not zero. The empty text is
// the empty slice. The error's kind is Invalid.
func DecodeBase64[T ~string | ~[]byte](s T) ([]byte, error) {
	out, err := appendBase64(make([]byte, 0, strictBase64.DecodedLen(len(s))), []byte(s))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// appendBase64 appends the decoding of src to dst.
func appendBase64(dst, src []byte) ([]byte, error) {
	for i, c := range src {
		if c == '\n' || c == '\r' {
			return nil, invalid("line end at byte %d, expected base64url without white space", i)
		}
	}
	out, err := strictBase64.AppendDecode(dst, src)
	if err == nil {
		return out, nil
	}
	var at base64.CorruptInputError
	if errors.As(err, &at) && int(at) < len(src) {
		switch c := src[at]; {
		case c == '=':
			return nil, invalid("padding at byte %d, expected base64url without padding", int(at))
		case c == '+' || c == '/':
			return nil, invalid("%q at byte %d, expected base64url, which writes - and _", c, int(at))
		case !base64Byte(c):
			return nil, invalid("byte 0x%02x at %d, expected base64url", c, int(at))
		}
	}
	return nil, invalid("not a whole number of bytes, or trailing bits that are not zero; expected canonical base64url")
}

func base64Byte(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
