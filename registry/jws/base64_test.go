package jws

import (
	"bytes"
	"testing"
)

func TestBase64(t *testing.T) {
	t.Parallel()
	for n := range 70 {
		in := bytes.Repeat([]byte{0xfb, 0xff, 0x3e}, 30)[:n]
		text := EncodeBase64(in)
		for _, decode := range []func() ([]byte, error){
			func() ([]byte, error) { return DecodeBase64(text) },
			func() ([]byte, error) { return DecodeBase64([]byte(text)) },
		} {
			if out, err := decode(); err != nil || !bytes.Equal(in, out) || out == nil {
				t.Fatalf("%x: got %x, %v", in, out, err)
			}
		}
	}
	for text, message := range map[string]string{
		"A": "whole number", "AB": "trailing bits", "AAB": "trailing bits", "AA==": "padding at byte 2",
		"AA=": "padding", "=": "padding", "AA\n": "line end at byte 2", "\r\nAA": "line end at byte 0",
		"A+AA": `'+' at byte 1`, "AA/A": `'/' at byte 2`, "AA AA": "byte 0x20 at 2", "AAAA.": "byte 0x2e at 4",
		"AAAAA": "whole number", "é": "byte 0xc3 at 0", "AA\x00A": "byte 0x00 at 2",
	} {
		_, err := DecodeBase64(text)
		if err == nil {
			t.Errorf("%q was accepted", text)
			continue
		}
		wantError(t, err, Invalid, message)
	}
}

func FuzzBase64(f *testing.F) {
	for _, s := range []string{"", "A", "AA", "AB", "AA==", "AA\n", "-_-_", "+/+/", "AAAA.AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := DecodeBase64(s)
		if err == nil && EncodeBase64(b) != s {
			t.Errorf("%q has the other spelling %q", s, EncodeBase64(b))
		}
		if err != nil {
			wantError(t, err, Invalid, "")
		}
		if back, err := DecodeBase64(EncodeBase64([]byte(s))); err != nil || string(back) != s {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	})
}
