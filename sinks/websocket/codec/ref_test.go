package codec

import "testing"

// A ref that JSON carries with or without escapes, or that a binary message
// carries, is the same ref.
func TestEqualRefsCompareEqual(t *testing.T) {
	for _, text := range []string{`["<&>","<&>","t","e",{}]`, `["\u003c\u0026\u003e","\u003c&>","t","e",{}]`} {
		m, err := V2.Decode([]byte(text), false, DefaultDepth)
		if err != nil {
			t.Fatal(err)
		}
		if want := RefOf("<&>"); m.JoinRef != want || m.Ref != want {
			t.Errorf("%s: refs %s and %s, want %s", text, m.JoinRef, m.Ref, want)
		}
	}
	b, err := V2.Decode([]byte("\x00\x03\x03\x01\x01<&><&>te"), true, DefaultDepth)
	if err != nil {
		t.Fatal(err)
	}
	if want := RefOf("<&>"); b.JoinRef != want || b.Ref != want {
		t.Errorf("binary: refs %s and %s, want %s", b.JoinRef, b.Ref, want)
	}
}
