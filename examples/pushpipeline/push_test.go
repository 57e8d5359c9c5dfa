package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParsePushes(t *testing.T) {
	pushes, err := parsePushes(strings.NewReader(` {"user_id":"42","DATA":{"b":2},"data":{"a":1},"User_Id":"7","more":true} `), 1)
	if err != nil || len(pushes) != 1 || pushes[0].User != "42" || string(pushes[0].Data) != `{"a":1}` {
		t.Errorf("%v %v", pushes, err)
	}
	pushes, err = parsePushes(strings.NewReader(`[{"user_id":"a","data":{}},{"user_id":"b.c-d_1","data":{"x":[1,2]}}]`), 2)
	if err != nil || len(pushes) != 2 || pushes[1].User != "b.c-d_1" {
		t.Errorf("%v %v", pushes, err)
	}
}

func TestParsePushesNamesTheFault(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{``, "the body is empty"},
		{`   `, "the body is empty"},
		{`{`, "not JSON"},
		{`nonsense`, "not JSON"},
		{`{} {}`, "something follows"},
		{`"text"`, "want an object"},
		{`[]`, "the array is empty"},
		{`[{"user_id":"1","data":{}},7]`, "push 1: want an object"},
		{`{"data":{}}`, "user_id is missing"},
		{`{"user_id":null,"data":{}}`, "user_id is missing"},
		{`{"user_id":42,"data":{}}`, "user_id must be a string"},
		{`{"user_id":"","data":{}}`, "user_id is empty"},
		{`{"user_id":"a:b","data":{}}`, "has a character"},
		{`{"user_id":"a\nb","data":{}}`, "has a character"},
		{`{"user_id":"` + strings.Repeat("x", 65) + `","data":{}}`, "has 65 bytes"},
		{`{"user_id":"1"}`, "data is missing"},
		{`{"user_id":"1","data":{},"user_id":"2"}`, "user_id comes twice"},
		{`{"user_id":null,"data":{},"user_id":"2"}`, "user_id comes twice"},
		{`{"user_id":"1","data":{"user_id":"2"},"d\u0061ta":{}}`, "data comes twice"},
		{`{"USER_ID":"1","data":{}}`, "user_id is missing"},
		{`{"user_id":"1","Data":{}}`, "data is missing"},
		{`{"user_id":"1","data":null}`, "data must be an object"},
		{`{"user_id":"1","data":[1]}`, "data must be an object"},
		{`{"user_id":"1","data":{"x":"` + strings.Repeat("x", maxData) + `"}}`, "data has"},
		{strings.Repeat(`[`, 100_000), "not JSON"},
		{`[` + strings.Repeat(`{"user_id":"1","data":{}},`, 3) + `{"user_id":"1","data":{}}]`, "more than 3 pushes"},
		{`[{"user_id":"1","data":{}},`, "push 1: not JSON: it ends too early"},
		{`[{"user_id":"1","data":{}}`, "it ends too early"},
		{`[{"user_id":"1","data":{}}] x`, "something follows"},
		{`{"user_id":"1","data":{"a":"` + "\xff" + `"}}`, "not UTF-8"},
		{`{"user_id":"1","data":{"` + "\xed\xa0\x80" + `":1}}`, "not UTF-8"},
		{`{"user_id":"1","data":{"a":"` + "\xe2\x82" + `"}}`, "not UTF-8"},
	} {
		pushes, err := parsePushes(strings.NewReader(tt.body), 3)
		if err == nil || pushes != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: %v, want %q", tt.body, err, tt.want)
		}
		var input *inputError
		if !errors.As(err, &input) || input.Large != (strings.HasPrefix(tt.want, "data has") || strings.HasPrefix(tt.want, "more than")) {
			t.Errorf("%.60s: %#v", tt.body, err)
		}
	}
}

func FuzzParsePushes(f *testing.F) {
	f.Add([]byte(`{"user_id":"42","data":{"a":1}}`))
	f.Add([]byte(`[{"user_id":"42","data":{}},{}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		pushes, err := parsePushes(bytes.NewReader(body), 100)
		if (err == nil) != (len(pushes) > 0) {
			t.Fatalf("%d pushes and %v", len(pushes), err)
		}
		for _, p := range pushes {
			if checkUserID(p.User) != nil || !utf8.Valid(p.Data) || !json.Valid(p.Data) || len(p.Data) == 0 || p.Data[0] != '{' {
				t.Fatalf("let in %+v", p)
			}
		}
	})
}

// counting counts what is read through it.
type counting struct {
	r    io.Reader
	read int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += n
	return n, err
}

// TestParsePushesStopsAtTheFirstFault: what follows is neither read nor kept.
func TestParsePushesStopsAtTheFirstFault(t *testing.T) {
	for _, body := range []string{
		"[" + strings.Repeat("1,", maxBody/2-1),
		`[{"user_id":"1","data":{}},{},` + strings.Repeat(`{"user_id":"1","data":{}},`, 40_000),
	} {
		c := &counting{r: strings.NewReader(body)}
		if _, err := parsePushes(c, 1<<20); err == nil {
			t.Error("no error")
		}
		if c.read > 64<<10 {
			t.Errorf("%d bytes were read of %.30s", c.read, body)
		}
	}
	// The most that can be valid, and one push that is too large.
	for name, body := range map[string]string{
		"many small": "[" + strings.Repeat(`{"user_id":"1","data":{}},`, maxBody/26-1) + `{"user_id":"1","data":{}}]`,
		"one large":  `{"user_id":"1","data":{"x":[` + strings.Repeat("1,", maxBody/2-20) + `1]}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = parsePushes(strings.NewReader(body), maxUnconfirmed)
		runtime.ReadMemStats(&after)
		n := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d bytes for a body of %d", name, n, len(body))
		if n > 24*maxBody {
			t.Errorf("%s: %d bytes are allocated", name, n)
		}
	}
}
