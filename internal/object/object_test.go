package object

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestWithout(t *testing.T) {
	for object, want := range map[string]string{
		`{}`:                                 `{}`,
		`{"b":1}`:                            `{"b":1}`,
		`{"a":1}`:                            `{}`,
		` { "a" : 1 , "b" : [1, {"a":2}] } `: `{"b" : [1, {"a":2}]}`,
		`{"b":"\\","a":"}","c":"\"a\":1,"}`:  `{"b":"\\","c":"\"a\":1,"}`,
		`{"\u0061":1,"b":true,"a":null,"a":-1e5}`: `{"b":true}`,
		`{"b":"a"}`:                        `{"b":"a"}`,
		`{"x":1,"b":{"a":{"a":[]}},"x":2}`: `{"b":{"a":{"a":[]}}}`,
	} {
		if got := string(Without([]byte(object), "a", "x")); got != want {
			t.Errorf("Without(%s) = %s, want %s", object, got, want)
		}
	}
}

func TestWith(t *testing.T) {
	for object, want := range map[string]string{
		`{}`:                       `{"a":7}`,
		" {\n} ":                   `{"a":7}`,
		`{"b":1}`:                  `{"b":1,"a":7}`,
		`{"a":1,"b":1,"\u0061":2}`: `{"b":1,"a":7}`,
		`{"a":1}`:                  `{"a":7}`,
	} {
		got := With([]byte(object), "a", []byte("7"))
		if strings.ReplaceAll(string(got), "\n", "") != want {
			t.Errorf("With(%s) = %s, want %s", object, got, want)
		}
	}
}

// TestWithoutModel compares random objects with what a map makes of them.
func TestWithoutModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	words := []string{`"a"`, `"b"`, `"\u0061"`, `"c\\"`, `"{\""`, `""`}
	blank := func() string { return []string{"", " ", "\n\t"}[r.IntN(3)] }
	var value func(depth int) string
	list := func(depth int, f func() string) string {
		parts := make([]string, r.IntN(4))
		for i := range parts {
			parts[i] = blank() + f() + blank()
		}
		return strings.Join(parts, ",")
	}
	var object func(depth int) string
	value = func(depth int) string {
		switch n := r.IntN(6); {
		case n == 0 && depth < 3:
			return object(depth + 1)
		case n == 1 && depth < 3:
			return "[" + list(depth, func() string { return value(depth + 1) }) + "]"
		case n == 2:
			return words[r.IntN(len(words))]
		}
		return []string{"1", "-2.5e3", "true", "null"}[r.IntN(4)]
	}
	object = func(depth int) string {
		return "{" + list(depth, func() string { return words[r.IntN(len(words))] + blank() + ":" + blank() + value(depth) }) + "}"
	}
	for range 5000 {
		text := object(0)
		var want, got map[string]any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		delete(want, "a")
		out := Without([]byte(text), "a")
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("Without(%s) = %s: %v, %v; want %v", text, out, got, err, want)
		}
	}
}
