package jsontext_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-go/penstock/internal/jsontext"
)

// want is what jsontext.Valid is compared with.
func want(data []byte) bool { return utf8.Valid(data) && json.Valid(data) }

var samples = []string{
	``, ` `, `{}`, `[]`, `[ ]`, `{ }`, `null`, `nul`, `nulll`, `true`, `false`, `fals`, `"`, `""`, `"a"`, `"a`, `"\`, `"\"`, `"\""`,
	`0`, `-0`, `-`, `01`, `-01`, `1.`, `1.5`, `.5`, `1e`, `1e5`, `1E+5`, `1e-`, `1e+-5`, `1.5e10`, `+1`, `1 2`, `--1`, `0x1`, `1e05`,
	`{"a":1}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1,"b":[1,2,{"c":null}]}`, `{,}`, `{1:2}`, `{"a":1]`, `{"a" : 1 , "b" : 2 }`,
	`[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `[[]]`, `[[[`, `]`, `}`, `[]]`, `[1],`, "\t{\r\n\"a\" :\n[ ] }\n", "\v1", "\f{}", "\xa0{}", "\ufeff{}",
	`"\u00e9"`, `"\uD800"`, `"\u12"`, `"\u12g4"`, `"\x"`, `"\/\b\f\n\r\t\\"`, "\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\t\"",
	"\"\u00e9\u20ac\U0001f600\"", "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\ufffd\"", "\"\u2028\"", "{\"\xff\":1}", "\xff",
	`{"a":{"b":{"c":[1,[2,[3]]]}},"d":"e"}`, strings.Repeat("[", 200) + strings.Repeat("]", 200), strings.Repeat(`{"a":[`, 100) + strings.Repeat("]}", 100),
	strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	strings.Repeat(`[{"a":`, 40) + "1" + strings.Repeat("}]", 40), strings.Repeat("[", 70) + strings.Repeat("]", 69) + "}",
}

func TestValidIsThatOfTheStandardLibrary(t *testing.T) {
	for _, text := range samples {
		if got := jsontext.Valid([]byte(text)); got != want([]byte(text)) {
			t.Errorf("%.100q: %t", text, got)
		}
	}
}

// TestValidOfRandomTexts changes samples at random places.
func TestValidOfRandomTexts(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	bytes := []byte("{}[]\",:0123456789.eE+-\\ utrfalsn/\x00\x1f\x7f\x80\xc3\xa9\xff \n")
	for range 100_000 {
		data := []byte(samples[r.IntN(len(samples)-5)])
		for range 1 + r.IntN(3) {
			at, b := r.IntN(len(data)+1), bytes[r.IntN(len(bytes))]
			switch {
			case at == len(data) || r.IntN(3) == 0:
				data = append(data[:at:at], append([]byte{b}, data[at:]...)...)
			case r.IntN(2) == 0:
				data = append(data[:at:at], data[at+1:]...)
			default:
				data[at] = b
			}
		}
		if got := jsontext.Valid(data); got != want(data) {
			t.Fatalf("seed %d: %.200q: %t", seed, data, got)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, text := range samples {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := jsontext.Valid(data); got != want(data) {
			t.Errorf("%q: %t", data, got)
		}
	})
}

func TestValidAllocatesNothing(t *testing.T) {
	data := []byte(strings.Repeat(`{"a":[`, 30) + strings.Repeat("]}", 30))
	if n := testing.AllocsPerRun(10, func() { jsontext.Valid(data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkValid checks a push of 200 bytes, of several fields and of one text.
func BenchmarkValid(b *testing.B) {
	for name, text := range map[string]string{
		"fields": `{"id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","kind":"order_shipped","n":1234567,"at":"2026-11-28T10:20:30Z","tags":["a","b","c"],"user":{"name":"Ann Example","unread":12,"vip":false},"total":19.99,"x":null}`,
		"text":   `{"text":"` + strings.Repeat("x", 189) + `"}`,
	} {
		data := []byte(text)
		for which, valid := range map[string]func([]byte) bool{"standard library": want, "here": jsontext.Valid} {
			b.Run(name+"/"+which, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if !valid(data) {
						b.Fatal("not valid")
					}
				}
			})
		}
	}
}
