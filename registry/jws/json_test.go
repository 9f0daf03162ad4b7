package jws

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// body has a field of every sort that the registry's texts have.
type body struct {
	Int   int64             `json:"int"`
	Small uint8             `json:"small"`
	Ptr   *int64            `json:"ptr"`
	Text  string            `json:"text"`
	Key   checkedKey        `json:"key"`
	Flag  bool              `json:"flag"`
	List  []string          `json:"list"`
	Pair  [2]int            `json:"pair"`
	Map   map[string]string `json:"map"`
	Any   any               `json:"any"`
	Inner struct {
		Deep []struct {
			N int `json:"n"`
		} `json:"deep"`
	} `json:"inner"`
	Empty  string `json:",omitzero"` // its name is the field's
	Hidden string `json:"-"`
}

// checkedKey refuses what is no key while it is decoded.
type checkedKey string

func (k *checkedKey) UnmarshalText(b []byte) error {
	key, err := ParseMultikey(string(b))
	*k = checkedKey(key.Multikey())
	return err
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	var v body
	err := DecodeJSON([]byte(` {"int":-9223372036854775808,"small":255,"ptr":0,"text":"n\"\\\u006e\ud83d\ude00 {[ null -0 1.5",
		"key":"z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw","flag":true,"list":["null","-0","1e3"],"pair":[1,2],
		"map":{"null":"a","a":"b"},"any":[{"x":1},[],false],"inner":{"deep":[{"n":1},{"n":2}]},"Empty":"e"}`+"\r\n\t"), &v)
	if err != nil {
		t.Fatal(err)
	}
	if v.Int != -1<<63 || v.Small != 255 || v.Ptr == nil || *v.Ptr != 0 || v.Text != "n\"\\n\U0001f600 {[ null -0 1.5" ||
		!v.Flag || len(v.List) != 3 || v.Pair != [2]int{1, 2} || v.Map["null"] != "a" || v.Inner.Deep[1].N != 2 || v.Empty != "e" {
		t.Errorf("got %+v", v)
	}
	// Absence shows: nil where zero is legal.
	v = body{}
	if err := DecodeJSON([]byte(`{}`), &v); err != nil || v.Ptr != nil || v.List != nil {
		t.Errorf("got %+v, %v", v, err)
	}
	if err := DecodeJSON([]byte(`{"list":[]}`), &v); err != nil || v.List == nil {
		t.Errorf("an empty array looks absent: %v", err)
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return `{"any":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}"
	}
	for name, c := range map[string]struct{ text, message string }{
		"nothing":                 {``, "ends too early"},
		"white space":             {" \n", "ends too early"},
		"cut":                     {`{"int":1`, "ends too early"},
		"cut in a string":         {`{"text":"a`, "ends too early"},
		"cut in an escape":        {`{"text":"a\`, "ends too early"},
		"cut literal":             {`{"flag":tru`, "ends too early"},
		"trailing text":           {`{}x`, "not JSON at byte 2"},
		"trailing value":          {`{} {}`, "not JSON at byte 3"},
		"trailing NUL":            {"{}\x00", "not JSON at byte 2"},
		"closed twice":            {`{}}`, "not JSON at byte 2"},
		"crossed":                 {`{"list":[}]`, "not JSON"},
		"byte order mark":         {"\ufeff{}", "not JSON at byte 0"},
		"form feed":               {"\f{}", "not JSON at byte 0"},
		"duplicate":               {`{"int":1,"int":1}`, "/int: duplicate member"},
		"duplicate, escaped":      {`{"int":1,"in\u0074":1}`, "/int: duplicate member"},
		"duplicate in a map":      {`{"map":{"a":"1","\u0061":"2"}}`, "/map/a: duplicate member"},
		"duplicate in any":        {`{"any":{"a":1,"a":2}}`, "/any/a: duplicate member"},
		"duplicate deep":          {`{"inner":{"deep":[{"n":1},{"n":1,"n":2}]}}`, "/inner/deep/1/n: duplicate member"},
		"duplicate unknown":       {`{"x":1,"x":2}`, "/x: unknown member"},
		"unknown":                 {`{"x":1}`, "/x: unknown member"},
		"unknown deep":            {`{"inner":{"deep":[{"n":1},{"m":1}]}}`, "/inner/deep/1/m: unknown member"},
		"unknown with a slash":    {`{"a/b~c":1}`, "/a~1b~0c: unknown member"},
		"unknown with a newline":  {`{"a\nb":1}`, `/a\nb`},
		"other case":              {`{"INT":1}`, "/INT: unknown member"},
		"other case, own name":    {`{"empty":"x"}`, "/empty: unknown member"},
		"both cases":              {`{"int":1,"Int":2}`, "/Int: unknown member"},
		"Kelvin sign":             {`{"\u212aey":"x"}`, "unknown member"},
		"hidden":                  {`{"Hidden":"x"}`, "/Hidden: unknown member"},
		"hidden by its tag":       {`{"-":"x"}`, "/-: unknown member"},
		"null":                    {`null`, "null, expected a value"},
		"null member":             {`{"text":null}`, "/text: null"},
		"null for a pointer":      {`{"ptr":null}`, "/ptr: null"},
		"null for a list":         {`{"list":null}`, "/list: null"},
		"null in a list":          {`{"list":["a",null]}`, "/list/1: null"},
		"null in any":             {`{"any":{"a":[1,null]}}`, "/any/a/1: null"},
		"null deep":               {`{"inner":{"deep":[{"n":1},{"n":null}]}}`, "/inner/deep/1/n: null"},
		"1.0":                     {`{"int":1.0}`, `/int: number "1.0", expected an integer`},
		"1e3":                     {`{"int":1e3}`, `/int: number "1e3"`},
		"1E3":                     {`{"int":1E3}`, `/int: number "1E3"`},
		"0e0":                     {`{"int":0e0}`, `/int: number "0e0"`},
		"minus zero":              {`{"int":-0}`, `/int: number "-0"`},
		"minus zero in a list":    {`{"pair":[1,-0]}`, `/pair/1: number "-0"`},
		"minus zero for any":      {`{"any":-0}`, `/any: number "-0"`},
		"a fraction for any":      {`{"any":0.5}`, `/any: number "0.5"`},
		"a fraction in a map":     {`{"any":{"a":0.5}}`, `/any/a: number "0.5"`},
		"leading zero":            {`{"int":01}`, "not JSON"},
		"minus leading zero":      {`{"int":-01}`, "number"},
		"plus":                    {`{"int":+1}`, "not JSON"},
		"minus alone":             {`{"int":-}`, "not JSON"},
		"dot first":               {`{"int":.5}`, "not JSON"},
		"hexadecimal":             {`{"int":0x10}`, "not JSON"},
		"NaN":                     {`{"int":NaN}`, "not JSON"},
		"Infinity":                {`{"int":Infinity}`, ""},
		"one over int64":          {`{"int":9223372036854775808}`, "/int: number out of range, expected an integer of 64 bits"},
		"one under int64":         {`{"int":-9223372036854775809}`, "/int: number out of range"},
		"very many digits":        {`{"int":` + strings.Repeat("9", 5000) + `}`, "/int: number out of range"},
		"256":                     {`{"small":256}`, "/small: number out of range, expected an integer of 8 bits, not negative"},
		"negative":                {`{"small":-1}`, "/small: "},
		"a number as text":        {`{"int":"1"}`, "/int: a string, expected an integer of 64 bits"},
		"text as a number":        {`{"text":1}`, "/text: a number, expected a string"},
		"flag as text":            {`{"flag":"true"}`, "/flag: a string, expected true or false"},
		"flag as a number":        {`{"flag":1}`, "/flag: a number, expected true or false"},
		"list as an object":       {`{"list":{"0":"a"}}`, "/list: an object, expected an array"},
		"list as text":            {`{"list":"a"}`, "/list: a string, expected an array"},
		"too few":                 {`{"pair":[1]}`, "/pair: "},
		"too many":                {`{"pair":[1,2,3]}`, "/pair: "},
		"an array":                {`[]`, "an array, expected an object"},
		"a checked value":         {`{"key":"z6Mk"}`, `/key: key "z6Mk": `},
		"not UTF-8":               {"{\"text\":\"\xff\"}", "/text: not JSON at byte 9: invalid UTF-8"},
		"not UTF-8, in a name":    {"{\"te\xfft\":\"\"}", "UTF-8"},
		"overlong UTF-8":          {"{\"text\":\"\xc0\xaf\"}", "UTF-8"},
		"surrogate as UTF-8":      {"{\"text\":\"\xed\xa0\x80\"}", "UTF-8"},
		"high surrogate":          {`{"text":"\ud800"}`, "surrogate"},
		"low surrogate":           {`{"text":"\udc00"}`, "surrogate"},
		"high and a letter":       {`{"text":"\ud800a"}`, "surrogate"},
		"two high":                {`{"text":"\ud800\ud800"}`, "surrogate"},
		"surrogate in a name":     {`{"\ud800":1}`, ""},
		"newline in a string":     {"{\"text\":\"a\nb\"}", "not JSON"},
		"unknown escape":          {`{"text":"\x41"}`, "not JSON"},
		"comment":                 {`{/**/}`, "not JSON"},
		"trailing comma":          {`{"int":1,}`, "not JSON"},
		"name without quotes":     {`{int:1}`, "not JSON"},
		"17 deep":                 {deep(17), "nested deeper than 16"},
		"17 objects deep":         {strings.Repeat(`{"any":`, 17) + "1" + strings.Repeat("}", 17), "/any/any: nested deeper than 16"},
		"a million deep":          {strings.Repeat("[", 1<<20), "nested deeper than 16"},
		"deep behind a string":    {`{"text":"\"","any":` + deep(16) + `}`, "nested deeper than 16"},
		"null behind a backslash": {`{"text":"\\","ptr":null}`, "/ptr: null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var v body
			err := DecodeJSON([]byte(c.text), &v)
			wantError(t, err, Invalid, c.message)
			if len(err.Error()) > 600 {
				t.Errorf("the message is %d bytes long", len(err.Error()))
			}
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("the message %q is not printable", err)
			}
		})
	}
	var v body
	if err := DecodeJSON([]byte(deep(16)), &v); err != nil {
		t.Errorf("nesting of %d is refused: %v", MaxDepth, err)
	}
	if err := DecodeJSON([]byte(`{"any":[`+strings.Repeat(`[],{},`, 100)+`1]}`), &v); err != nil {
		t.Errorf("what lies side by side counts as nested: %v", err)
	}
}

// what a decoder of its own refuses keeps its kind.
type refusing struct{}

func (refusing) UnmarshalJSON([]byte) error { return &Error{TooLarge, "more than it takes"} }

func TestDecodeJSONKeepsKind(t *testing.T) {
	t.Parallel()
	var v struct {
		A refusing `json:"a"`
	}
	wantError(t, DecodeJSON([]byte(`{"a":{}}`), &v), TooLarge, "/a: more than it takes")
}

// FuzzDecodeJSON holds DecodeJSON against encoding/json: whatever is accepted, the other accepts too
// and understands in the same way. (The reverse is not so, and is not meant to be.)
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"int":-1,"small":1,"ptr":0,"text":"\ud83d\ude00","flag":true,"list":["a"],"pair":[1,2],"map":{"a":"b"}}`,
		`{"any":{"a":[1,"2",true]},"inner":{"deep":[{"n":1}]},"Empty":"e"}`, `{"int":1,"\u0069nt":2}`, `{"INT":1}`,
		`{"int":1.0}`, `{"int":-0}`, `{"text":null}`, `{"text":"\ud800"}`, "{\"text\":\"\xff\"}", `{}{}`, `[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`,
		`{"key":"z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs body
		if err := DecodeJSON(data, &ours); err != nil {
			wantError(t, err, Invalid, "")
			return
		}
		dec := stdjson.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&theirs); err != nil {
			t.Fatalf("%q is accepted, but encoding/json says %v", data, err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("%q is accepted, but more follows: %v", data, err)
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%q is %+v, but %+v to encoding/json", data, ours, theirs)
		}
		if _, what := scanJSON(data); what != "" {
			t.Errorf("%q is accepted in spite of %s", data, what)
		}
	})
}
