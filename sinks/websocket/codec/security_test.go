package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// hostile are the inputs of row S12, as payloads of a message of version 2.
// Those that can be of any length are of about n bytes.
func hostile(n int) map[string]string {
	object := func(member func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			b.WriteByte(",{"[min(1, max(0, 1-i))])
			b.WriteString(member(i))
		}
		return b.String() + "}"
	}
	// Two letters of the same hash in the classic h*31+c, and so all words of them.
	colliding := func(i int) string {
		var b strings.Builder
		for bit := range 16 {
			b.WriteString([]string{"Aa", "BB"}[i>>bit&1])
		}
		return b.String()
	}
	return map[string]string{
		"open brackets":     strings.Repeat("[", n),
		"9,999 deep":        strings.Repeat("[", 9999) + strings.Repeat("]", 9999),
		"objects deep":      strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999),
		"keys":              object(func(i int) string { return `"` + strconv.FormatInt(int64(i), 36) + `":0` }),
		"escaped keys":      object(func(i int) string { return fmt.Sprintf(`"\u%04x\n":0`, i%0xd000+1) }),
		"colliding keys":    object(func(i int) string { return `"` + colliding(i) + `":0` }),
		"small objects":     "[" + strings.Repeat(`{"a":0,"b":0,"c":0,"d":0},`, n/26) + "0]",
		"escapes":           `"` + strings.Repeat(`\u00e9`, n/6) + `"`,
		"long key":          `{"` + strings.Repeat(`\n`, n/2) + `":0}`,
		"surrogates":        `"` + strings.Repeat(`\ud83d\ude00`, n/12) + `"`,
		"numbers":           "[" + strings.Repeat("1e5,", n/4) + "0]",
		"numbers with work": "[" + strings.Repeat("9007199254740993000000000001e-298,", n/34) + "0]",
		"one long number":   strings.Repeat("9", n) + "e-" + strconv.Itoa(n),
		"empty arrays":      "[" + strings.Repeat("[],", n/3) + "0]",
		"spaces":            strings.Repeat(" ", n) + "0",
		"text":              `"` + strings.Repeat("x", n) + `"`,
	}
}

// TestSecurity holds row S12 of what must be tried against the server.
func TestSecurity(t *testing.T) { t.Run("S12_json", jsonOfAttackers) }

func jsonOfAttackers(t *testing.T) {
	message := func(payload string) []byte { return []byte(`["1","2","room:a","ev",` + payload + `]`) }
	// verdict is the reason of a refusal, "" for none.
	verdict := func(v codec.Version, in []byte) string {
		_, err := v.Decode(in, false, codec.DefaultDepth)
		detail, _ := errors.AsType[*codec.DecodeError](err)
		if (err != nil) != (detail != nil) {
			t.Fatalf("%v is no DecodeError", err)
		}
		if detail == nil {
			return ""
		}
		return detail.Reason
	}
	for payload, want := range map[string]string{
		strings.Repeat("[", 100_000):                          "nested too deep",
		strings.Repeat("[", 9999) + strings.Repeat("]", 9999): "nested too deep",
		strings.Repeat("[", 31) + strings.Repeat("]", 31):     "",
		strings.Repeat("[", 32) + strings.Repeat("]", 32):     "nested too deep",
		"1e999999":                  "number out of range",
		"-1e309":                    "number out of range",
		strings.Repeat("9", 310):    "number out of range",
		"1.7976931348623157e308":    "",
		"0.0017976931348623157E311": "",
		"1.7976931348623159e308":    "number out of range",
		"1e-999999":                 "",
		"0e999999":                  "",
		`"\ud800"`:                  "lone surrogate",
		`"\udc00\ud800"`:            "lone surrogate",
		`"\ud83d\u0041"`:            "lone surrogate",
		"\ufeff{}":                  "not a JSON value",
		`{"a":1,"b":2,"a":3}`:       "duplicate key",
		`{"a":1,"\u0061":2}`:        "duplicate key",
		`{"x":{"a":1,"a":2}}`:       "duplicate key",
		`{"a":{"a":{"a":1}}}`:       "",
		`{"a":1,"A":2,"b":{"a":1}}`: "",
		`{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0,"5":0}`:      "duplicate key",
		`{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0,"\u0039":0}`: "duplicate key",
	} {
		if got := verdict(codec.V2, message(payload)); got != want {
			t.Errorf("%.60s: %q, want %q", payload, got, want)
		}
	}
	if got := verdict(codec.V2, []byte("\ufeff"+`["1","1","t","e",{}]`)); got != "not an array" {
		t.Errorf("byte order mark: %q", got)
	}
	for _, in := range []string{
		`{"topic":"t","topic":"u","event":"e","payload":{},"ref":"1"}`,
		`{"topic":"t","\u0074opic":"u","event":"e","payload":{},"ref":"1"}`,
		`{"topic":"t","event":"e","payload":{},"ref":"1","x":1,"x":2}`,
	} {
		if got := verdict(codec.V1, []byte(in)); got != "duplicate key" {
			t.Errorf("%s: %q", in, got)
		}
	}
	if got := verdict(codec.V1, []byte(`{"topic":"t","event":"e","payload":{},"ref":"1","unknown":[{}]}`)); got != "" {
		t.Errorf("an unknown field: %q", got)
	}
	var keys strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&keys, `,"%x":0`, i)
	}
	million := "{" + keys.String()[1:] + "}"
	if got := verdict(codec.V2, message(million)); got != "" {
		t.Errorf("a million keys: %q", got)
	}

	// 1 ms of the processor for 64 KiB; the race detector costs more. What counts is the best
	// of many tries: the rest is what the machine does meanwhile.
	limit := time.Millisecond * slowdown
	for name, payload := range hostile(64<<10 - 64) {
		in := message(payload)
		best := time.Duration(math.MaxInt64)
		for try := 0; try < 300 && best > limit; try++ {
			best = min(best, processorTime(func() { verdict(codec.V2, in) }))
		}
		if best > limit {
			t.Errorf("%s: %v for %d bytes, want %v at most", name, best, len(in), limit)
		}
	}

	done := make(chan uint64)
	go func() { // on a fresh stack, which must not grow with the depth
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			verdict(codec.V2, message(strings.Repeat("[", 9999)+strings.Repeat("]", 9999)))
		}
		runtime.ReadMemStats(&after)
		done <- after.StackInuse - min(before.StackInuse, after.StackInuse)
	}()
	if grown := <-done; grown > 256<<10 {
		t.Errorf("the stack grew by %d bytes", grown)
	}
}

// TestDecodingAllocatesInProportion pins that no input makes Decode allocate
// more than eight times its size; a refusal of a few bytes costs its error.
func TestDecodingAllocatesInProportion(t *testing.T) {
	const refusal = 64 // a DecodeError, and what the allocator rounds up to
	check := func(name string, v codec.Version, binary bool, in []byte) {
		t.Helper()
		n := allocated(func() { _, _ = v.Decode(in, binary, codec.DefaultDepth) })
		if limit := uint64(8*len(in) + refusal); n > limit {
			t.Errorf("%s: %d bytes allocated for %d", name, n, len(in))
		}
	}
	for _, n := range []int{1, 30, 300, 64 << 10} {
		for name, payload := range hostile(n) {
			check(fmt.Sprint("text ", n, " ", name), codec.V2, false, []byte(`[null,null,"t","e",`+payload+`]`))
			check(fmt.Sprint("V1 ", n, " ", name), codec.V1, false, []byte(`{"topic":"t","event":"e","payload":`+payload+`,"ref":null}`))
			check(fmt.Sprint("V1 unknown ", n, " ", name), codec.V1, false, []byte(`{"x":`+payload+`,"topic":"t","event":"e","payload":1,"ref":null}`))
			name = strings.ReplaceAll(name, " ", "_")
			check(fmt.Sprint("escaped topic ", n, " ", name), codec.V2, false, []byte(`[null,null,"`+strings.Repeat(`\n`, n)+`","e",1]`))
		}
		field := min(n, 255)
		head := []byte{0, byte(field), byte(field), byte(field), byte(field)}
		check(fmt.Sprint("binary ", n), codec.V2, true, append(head, bytes.Repeat([]byte("\n"), 4*field+n)...))
		check(fmt.Sprint("binary cut ", n), codec.V2, true, head)
		check(fmt.Sprint("binary garbage ", n), codec.V2, true, bytes.Repeat([]byte{0}, n))
	}
	for _, in := range []string{"", "[", "{", `["1"`, "\xff"} {
		check("short "+in, codec.V2, false, []byte(in))
		check("short "+in, codec.V1, false, []byte(in))
		check("short "+in, codec.V2, true, []byte(in))
	}
}
