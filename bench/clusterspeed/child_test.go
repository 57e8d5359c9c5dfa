//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestRequestsAndReplies(t *testing.T) {
	double := map[string]handler{"double": on(func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, errors.New("negative")
		}
		return 2 * n, nil
	})}
	for _, c := range []struct{ do, args, result, err string }{
		{"double", "21", "42", ""},
		{"double", "-1", "", "negative"},
		{"double", `"x"`, "", "cannot unmarshal"},
		{"halve", "1", "", `nothing is named "halve"`},
	} {
		r := handle(t.Context(), double, request{Do: c.do, Args: []byte(c.args)})
		if string(r.Result) != c.result || !strings.Contains(r.Error, c.err) || (r.Error == "") != (c.err == "") {
			t.Errorf("%s of %s: %s, %q", c.do, c.args, r.Result, r.Error)
		}
	}
}

func TestAChildEndsWithItsInput(t *testing.T) {
	var out bytes.Buffer
	if err := child("clients", strings.NewReader(`{"do":"count","args":{}}`+"\n"), &out); err != nil || strings.TrimSpace(out.String()) != `{"result":0}` {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := child("nobody", strings.NewReader(""), io.Discard); err == nil {
		t.Error("an unknown role is taken")
	}
}

func TestFramesAreCutApart(t *testing.T) {
	long := strings.Repeat("x", 300)
	stream := "\x81\x02ab" + "\x81\x7e\x01\x2c" + long + "\x88\x00"
	r := bufio.NewReaderSize(strings.NewReader(stream), 512)
	for _, want := range []string{"ab", long} {
		if got, err := readFrame(r); err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	if _, err := readFrame(r); err != io.EOF {
		t.Errorf("a close: %v", err)
	}
	if _, err := readFrame(bufio.NewReader(strings.NewReader("\x81\xff"))); err != errFrame {
		t.Errorf("a masked frame: %v", err)
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-backplane", "redis", "-part", "rooms,topics"}, io.Discard)
	if err != nil || len(o.parts) != 2 || o.backplanes[0] != "redis" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-part", "all"}, {"-backplane", ""}, {"-for", "1ms"}, {"more"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

func TestPayloads(t *testing.T) {
	if got := len(payload(pushBytes)); got != pushBytes {
		t.Errorf("%d bytes", got)
	}
}
