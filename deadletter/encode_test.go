package deadletter

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

type row struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

func (r row) Position() string { return "rows/1@7" }

// A letter returns an event's bytes as they were, also after it was JSON itself.
func TestLettersKeepBytes(t *testing.T) {
	for _, data := range []string{
		`{"id":1}`, `"<a & b>"`, "\"\u2028\"", `1`, `null`, `{"a": 1}`, "{\"a\":1}\n", ``, "\x00\xff", `{`, "\"\xff\"", "text",
	} {
		var l Letter
		l.SetBytes([]byte(data))
		if want := data == `{"id":1}` || data == `1` || data == `null` || data[:min(1, len(data))] == `"` && data != "\"\xff\""; l.Binary == want {
			t.Errorf("%q: binary is %t", data, l.Binary)
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(l); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		var back Letter
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		got, err := back.Bytes()
		if err != nil || string(got) != data {
			t.Errorf("%q came back as %q, %v", data, got, err)
		}
	}
	bad := Letter{Binary: true, Event: json.RawMessage(`"?"`)}
	if _, err := bad.Bytes(); err == nil {
		t.Error("no error for what is not base64")
	}
}

func TestOf(t *testing.T) {
	l := Of(row{1, "a"}, nil)
	if string(l.Event) != `{"id":1,"text":"a"}` || l.Binary || l.Source != "rows/1@7" || l.EncodeError != "" {
		t.Errorf("%+v", l)
	}
	l = Of(3, func(int) ([]byte, error) { return []byte{0xff, 3}, nil })
	if got, err := l.Bytes(); !l.Binary || !bytes.Equal(got, []byte{0xff, 3}) || err != nil || l.Source != "" {
		t.Errorf("%+v, %v, %v", l, got, err)
	}
	for _, l := range []Letter{
		Of(make(chan int), nil),
		Of(row{2, "b"}, func(row) ([]byte, error) { return nil, errors.New("no") }),
		Of(row{2, "b"}, func(row) ([]byte, error) { panic("no") }),
	} {
		if l.EncodeError == "" || !json.Valid(l.Event) || l.Binary {
			t.Errorf("%+v", l)
		}
	}
	if l := Of(crooked{}, nil); l.Source != "panic: crooked" {
		t.Errorf("%+v", l)
	}
}

type crooked struct{}

func (crooked) Position() string { panic("crooked") }
