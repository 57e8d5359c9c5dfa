package main

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePushes(t *testing.T) {
	pushes, err := parsePushes([]byte(` {"user_id":"42","data":{"a":1},"more":true} `))
	if err != nil || len(pushes) != 1 || pushes[0].User != "42" || string(pushes[0].Data) != `{"a":1}` {
		t.Errorf("%v %v", pushes, err)
	}
	pushes, err = parsePushes([]byte(`[{"user_id":"a","data":{}},{"user_id":"b.c-d_1","data":{"x":[1,2]}}]`))
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
		{`{"user_id":"1","data":null}`, "data must be an object"},
		{`{"user_id":"1","data":[1]}`, "data must be an object"},
		{`{"user_id":"1","data":{"x":"` + strings.Repeat("x", maxData) + `"}}`, "data has"},
		{strings.Repeat(`[`, 100_000), "not JSON"},
	} {
		pushes, err := parsePushes([]byte(tt.body))
		if err == nil || pushes != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: %v, want %q", tt.body, err, tt.want)
		}
		var input *inputError
		if !errors.As(err, &input) || input.Large != strings.HasPrefix(tt.want, "data has") {
			t.Errorf("%.60s: %#v", tt.body, err)
		}
	}
}

func FuzzParsePushes(f *testing.F) {
	f.Add([]byte(`{"user_id":"42","data":{"a":1}}`))
	f.Add([]byte(`[{"user_id":"42","data":{}},{}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		pushes, err := parsePushes(body)
		if (err == nil) != (len(pushes) > 0) {
			t.Fatalf("%d pushes and %v", len(pushes), err)
		}
		for _, p := range pushes {
			if checkUserID(p.User) != nil || len(p.Data) == 0 || p.Data[0] != '{' {
				t.Fatalf("let in %+v", p)
			}
		}
	})
}
