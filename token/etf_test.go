package token

import (
	"bytes"
	"encoding/base64"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestTermsRoundTrip(t *testing.T) {
	for _, c := range []struct{ in, out any }{
		{nil, nil}, {true, true}, {false, false},
		{"", ""}, {"é\x00\xff", "é\x00\xff"}, {[]byte("ab"), "ab"},
		{0, int64(0)}, {255, int64(255)}, {256, int64(256)}, {-1, int64(-1)},
		{math.MaxInt32, int64(math.MaxInt32)}, {math.MinInt32, int64(math.MinInt32)},
		{int64(math.MaxInt32) + 1, int64(math.MaxInt32) + 1}, {int64(math.MinInt32) - 1, int64(math.MinInt32) - 1},
		{int64(math.MaxInt64), int64(math.MaxInt64)}, {int64(math.MinInt64), int64(math.MinInt64)},
		{uint64(math.MaxUint64), uint64(math.MaxUint64)}, {uint32(7), int64(7)}, {int32(-7), int64(-7)},
		{1.5, 1.5}, {-0.25, -0.25},
		{Atom("ok"), Atom("ok")}, {Atom("é"), Atom("é")},
		{[]any{}, []any{}}, {[]string{"a", "b"}, []any{"a", "b"}}, {[]any{1, "a", nil}, []any{int64(1), "a", nil}},
		{Tuple{Atom("ok"), 1}, Tuple{Atom("ok"), int64(1)}},
		{map[string]any{"b": 1, "a": []any{}}, map[any]any{"b": int64(1), "a": []any{}}},
		{map[any]any{"b": 1, 3: "x", Atom("c"): 2, int64(-5): nil}, map[any]any{"b": int64(1), int64(3): "x", Atom("c"): int64(2), int64(-5): nil}},
	} {
		b, err := encodeTerm(c.in)
		if err != nil {
			t.Errorf("encodeTerm(%v): %v", c.in, err)
			continue
		}
		got, ok := decodeTerm(b)
		if !ok || !reflect.DeepEqual(got, c.out) {
			t.Errorf("%#v came back as %#v, %v", c.in, got, ok)
		}
		again, err := encodeTerm(got)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%#v is not encoded the same again: %v", c.in, err)
		}
	}
}

func TestTermsThatCannotBeEncoded(t *testing.T) {
	deep := any("x")
	for range maxDepth + 1 {
		deep = []any{deep}
	}
	for _, v := range []any{
		struct{}{}, make(chan int), math.NaN(), math.Inf(1), strings.Repeat("x", MaxBytes+1), Atom(strings.Repeat("x", 256)),
		make(Tuple, 256), map[any]any{1.5: 1}, map[any]any{1: "a", int64(1): "b"}, deep, []any{struct{}{}},
		map[string]any{"a": struct{}{}},
	} {
		if _, err := encodeTerm(v); err == nil {
			t.Errorf("encodeTerm(%.60v) returned no error", v)
		}
	}
}

// What Erlang writes and we do not.
func TestTermsOfErlang(t *testing.T) {
	for _, c := range []struct {
		in   string
		want any
	}{
		{"\x83\x64\x00\x02ok", Atom("ok")},
		{"\x83\x64\x00\x01\xe9", Atom("é")},
		{"\x83\x73\x04true", true},
		{"\x83\x76\x00\x05false", false},
		{"\x83\x6b\x00\x02\x01\xff", []any{int64(1), int64(255)}},
		{"\x83\x69\x00\x00\x00\x01\x61\x05", Tuple{int64(5)}},
		{"\x83\x6e\x01\x00\x05", int64(5)},
	} {
		if got, ok := decodeTerm([]byte(c.in)); !ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("decodeTerm(%q) = %#v, %v, want %#v", c.in, got, ok, c.want)
		}
	}
}

func TestTermsThatAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                 "",
		"version alone":         "\x83",
		"other version":         "\x82\x61\x01",
		"trailing":              "\x83\x61\x01\x00",
		"function":              "\x83\x70\x00\x00\x00\x04",
		"old function":          "\x83\x75\x00\x00\x00\x00",
		"export":                "\x83\x71\x77\x01a\x77\x01b\x61\x00",
		"pid":                   "\x83\x58\x77\x01a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"reference":             "\x83\x5a\x00\x01\x77\x01a\x00\x00\x00\x00\x00\x00\x00\x00",
		"compressed":            "\x83\x50\x00\x00\x00\x02\x78\x9c\x4b\x64\x04\x00\x00\xc4\x00\x62",
		"improper list":         "\x83\x6c\x00\x00\x00\x01\x61\x01\x61\x02",
		"list without end":      "\x83\x6c\x00\x00\x00\x01\x61\x01",
		"count beyond the end":  "\x83\x6c\xff\xff\xff\xff\x61\x01\x6a",
		"binary beyond the end": "\x83\x6d\x00\x00\x00\x05abc",
		"tuple beyond the end":  "\x83\x68\x05\x61\x01",
		"big of nine bytes":     "\x83\x6e\x09\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09",
		"big below an int64":    "\x83\x6e\x08\x01\xff\xff\xff\xff\xff\xff\xff\xff",
		"big of strange sign":   "\x83\x6e\x01\x02\x05",
		"NaN":                   "\x83\x46\x7f\xf8\x00\x00\x00\x00\x00\x01",
		"atom of bad UTF-8":     "\x83\x77\x01\xff",
		"key twice":             "\x83\x74\x00\x00\x00\x02\x61\x01\x61\x01\x61\x01\x61\x02",
		"list as a key":         "\x83\x74\x00\x00\x00\x01\x6a\x61\x01",
		"too deep":              "\x83" + strings.Repeat("\x68\x01", 40) + "\x6a",
	} {
		if got, ok := decodeTerm([]byte(in)); ok {
			t.Errorf("%s: decodeTerm returned %#v", name, got)
		}
	}
}

// Lists within lists that each claim all the rest make room for no more terms
// than there are bytes.
func TestDecodingAllocatesInProportion(t *testing.T) {
	in := []byte{etfVersion}
	for range maxDepth {
		in = append(in, tagList, 0, 0, 0x10, 0)
	}
	in = append(in, bytes.Repeat([]byte{tagNil}, 5000)...)
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			decodeTerm(in)
		}
	})
	if per := res.AllocedBytesPerOp(); per > int64(20*len(in)) {
		t.Errorf("%d bytes allocated for %d of input", per, len(in))
	}
}

func FuzzDecodeTerm(f *testing.F) {
	for _, s := range []string{
		"g2gDbQAAAAExbgYAAGjlz4sBYgABUYA", "g2gDYQFuBgAAaOXPiwFiAAFRgA",
		"g2gDdAAAAAJtAAAAAmlkYQdtAAAAAXJsAAAAAm0AAAABYW0AAAABYmpuBgAAaOXPiwFhPA",
	} {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x83\x6c\xff\xff\xff\xff\x6c\xff\xff\xff\xff"))
	f.Add([]byte("\x83\x46\x3f\xf8\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		term, ok := decodeTerm(b)
		if !ok {
			return
		}
		again, err := encodeTerm(term)
		if err != nil {
			return // a tuple or text larger than we write
		}
		back, ok := decodeTerm(again)
		if !ok || !reflect.DeepEqual(back, term) {
			t.Fatalf("%q is %#v, and encoded again %#v", b, term, back)
		}
	})
}

// A count of more than 2^31 is negative as an int of 32 bits.
func TestDecodeOfAHugeCount(t *testing.T) {
	for _, tag := range []byte{tagBinary, tagList, tagLargeTuple, tagMap} {
		if term, ok := decodeTerm([]byte{etfVersion, tag, 0xff, 0xff, 0xff, 0xff, tagNil, tagNil}); ok {
			t.Errorf("tag %d: decoded %v", tag, term)
		}
	}
}
