package jws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep objects and arrays may nest in what [DecodeJSON] reads.
const MaxDepth = 16

var strictJSON = json.RejectUnknownMembers(true)

// DecodeJSON reads data, one JSON text and nothing after it, into v, a pointer to a zero value. It
// refuses what two readers could understand differently (DESIGN 4, RFC 7493):
//
//   - bytes that are not UTF-8, and escapes of half a surrogate pair;
//   - duplicate members, unknown ones, and ones that match but for case;
//   - null, anywhere: an absent value is left out;
//   - numbers that are not integers or not written as such: 1.0, 1e3, -0, or outside v's type;
//   - nesting deeper than [MaxDepth].
//
// A member that is absent leaves its field as it was. The caller finds out by the zero value, and so
// gives a pointer to every field for which zero is legal and absence is not. Member names are those of the
// json tags. Maps and any keep their meaning, but any turns integers into float64: do not sign it.
// [N]T must have N elements. []byte reads padded standard base64, which is never what DESIGN wants: use a
// string and [DecodeBase64]. An UnmarshalText or UnmarshalJSON of v's own is called as usual; the *Error
// it returns keeps its kind.
//
// The error's kind is Invalid; it names the place as a JSON pointer (RFC 6901). The caller caps the size
// of data. Time and memory are linear in it.
func DecodeJSON(data []byte, v any) error {
	if at, what := scanJSON(data); what != "" {
		return invalid("%s%s", pointerAt(data, at), what)
	}
	if err := json.Unmarshal(data, v, strictJSON); err != nil {
		return jsonError(err)
	}
	return nil
}

// scanJSON finds the first null, too deep nesting, or number that is not written as an integer. It
// needs no more of JSON's grammar than where strings end: Unmarshal sees to the rest, and whatever the
// scan makes of a text that is not JSON, the text is refused. It says where and what; "" is nothing.
func scanJSON(data []byte) (at int, what string) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '"':
			// To the closing quote, which is not escaped.
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return i, fmt.Sprintf("nested deeper than %d", MaxDepth)
			}
		case '}', ']':
			depth--
		case 'n':
			if bytes.HasPrefix(data[i:], []byte("null")) {
				return i, "null, expected a value; leave the member out instead"
			}
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			start := i
			for i+1 < len(data) && numberByte(data[i+1]) {
				i++
			}
			number := data[start : i+1]
			if len(number) > 1 && string(number[:2]) == "-0" || bytes.ContainsAny(number, ".eE") {
				return start, "number " + quoted(string(number)) + ", expected an integer written as an integer"
			}
		}
	}
	return 0, ""
}

func numberByte(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// pointerAt is the JSON pointer of the value at byte offset at, as the beginning of a message. It is
// looked for only once something is wrong.
func pointerAt(data []byte, at int) string {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for dec.InputOffset() <= int64(at) {
		if _, err := dec.ReadToken(); err != nil {
			break
		}
	}
	return place(dec.StackPointer())
}

// place is a JSON pointer as the beginning of a message; the whole text has none.
func place(p jsontext.Pointer) string {
	if p == "" {
		return ""
	}
	if len(p) > maxQuoted {
		p = p[:maxQuoted] + "…"
	}
	return printable(string(p)) + ": "
}

// printable is s without quotes where it can be shown as it is.
func printable(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// jsonError says in our own words what the decoder found.
func jsonError(err error) *Error {
	var own *Error
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		at := place(semantic.JSONPointer)
		switch {
		case errors.As(semantic.Err, &own):
			return &Error{own.Kind, at + own.Msg}
		case errors.Is(semantic.Err, json.ErrUnknownName):
			return invalid("%sunknown member", at)
		case errors.Is(semantic.Err, strconv.ErrRange):
			return invalid("%snumber out of range, expected %s", at, expected(semantic.GoType))
		case semantic.JSONKind != 0 && semantic.GoType != nil && (semantic.Err == nil || errors.Is(semantic.Err, strconv.ErrSyntax)):
			return invalid("%s%s, expected %s", at, found(semantic.JSONKind), expected(semantic.GoType))
		case semantic.Err != nil:
			return invalid("%s%v", at, semantic.Err)
		}
		return invalid("%snot a value of the expected form", at)
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		at := place(syntactic.JSONPointer)
		switch {
		case errors.Is(syntactic.Err, jsontext.ErrDuplicateName):
			return invalid("%sduplicate member", at)
		case errors.Is(syntactic.Err, io.ErrUnexpectedEOF):
			return invalid("%sthe JSON text ends too early, at byte %d", at, syntactic.ByteOffset)
		}
		return invalid("%snot JSON at byte %d: %v", at, syntactic.ByteOffset, syntactic.Err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return invalid("the JSON text is empty or ends too early")
	}
	return invalid("not JSON: %v", err)
}

func found(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	}
	return k.String()
}

// expected names a Go type by what it is in JSON.
func expected(t reflect.Type) string {
	if t == nil {
		return "another value"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("an integer of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("an integer of %d bits, not negative", t.Bits())
	case reflect.Slice:
		return "an array"
	case reflect.Array:
		return fmt.Sprintf("an array of %d elements", t.Len())
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return expected(t.Elem())
	}
	return "another value"
}
