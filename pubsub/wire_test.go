package pubsub

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

func wired(m Message, w wire, at Position) *Message {
	m.more = &more{wire: w, epoch: at.Epoch}
	m.more.record.Offset = at.Offset
	return &m
}

func TestWireForm(t *testing.T) {
	object := Payload{Data: []byte(`{"a":"é"}`)}
	for _, c := range []struct {
		name string
		m    *Message
		want string
	}{
		{"broadcast", wired(Message{Topic: "t", Event: "e", Payload: object}, wire{origin: "node"}, Position{}),
			"\x01\x00\x04node\x01t\x01e\x00" + string(object.Data)},
		{"binary", wired(Message{Topic: "t", Event: "e", Payload: Payload{Data: []byte{0, 255}, Binary: true}}, wire{origin: "n"}, Position{}),
			"\x01\x00\x01n\x01t\x01e\x01\x00\xff"},
		{"kept", wired(Message{Topic: "t", Event: "e", Payload: object}, wire{origin: "n"}, Position{"ep", 300}),
			"\x01\x00\x01n\x01t\x01e\x02\x02ep\xac\x02" + string(object.Data)},
		{"delivery", wired(Message{Topic: "t", Event: "e", Payload: object}, wire{origin: "n", kind: kindDelivery, id: 258}, Position{}),
			"\x01\x01\x01n\x01t\x01e\x00\x00\x00\x00\x00\x00\x01\x02\x00" + string(object.Data)},
		{"delivery that says when", wired(Message{Topic: "t", Event: "e", Payload: object}, wire{origin: "n", kind: kindDelivery, id: 258, sent: 300, certain: true}, Position{}),
			"\x01\x01\x01n\x01t\x01e\x00\x00\x00\x00\x00\x00\x01\x02\x0c\xac\x02" + string(object.Data)},
		{"question", wired(Message{}, wire{origin: "n", kind: kindQuestion, ids: []uint64{1, 258}}, Position{}),
			"\x01\x03\x01n\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01\x02"},
		{"answers", wired(Message{}, wire{origin: "n", kind: kindAnswers, answers: []answer{{id: 1}, {2, ErrFull, true}}}, Position{}),
			"\x01\x02\x01n\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x84"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := c.m.Append([]byte("before"))
			if string(data) != "before"+c.want {
				t.Fatalf("got  %q\nwant %q", data[6:], c.want)
			}
			m, err := Decode(data[6:])
			if err != nil {
				t.Fatal(err)
			}
			at, kept := m.OriginPosition()
			want, keptThere := c.m.Position()
			if m.Topic != c.m.Topic || m.Event != c.m.Event || m.Payload.Binary != c.m.Payload.Binary || !bytes.Equal(m.Payload.Data, c.m.Payload.Data) ||
				m.Origin() != c.m.Origin() || at != want || kept != keptThere || m.more.wire.kind != c.m.more.wire.kind || m.more.wire.id != c.m.more.wire.id ||
				!reflect.DeepEqual(m.more.wire.answers, c.m.more.wire.answers) || !reflect.DeepEqual(m.more.wire.ids, c.m.more.wire.ids) ||
				m.more.wire.sent != c.m.more.wire.sent || m.more.wire.certain != c.m.more.wire.certain {
				t.Errorf("%+v became %+v", c.m.more, m.more)
			}
			if _, kept := m.Record(); kept {
				t.Error("a message of another node is taken for kept here")
			}
			// No prefix of it is another message, but for what ends with the bytes.
			for n := range len(c.want) {
				_, err := Decode(data[6 : 6+n : 6+n])
				var bad *MalformedError
				if err != nil && (!errors.As(err, &bad) || bad.Reason == "" || bad.Error() == "") {
					t.Errorf("%d bytes: %v", n, err)
				}
				if err == nil && c.name != "answers" && c.name != "question" && c.name != "binary" {
					t.Errorf("%d of %d bytes were decoded", n, len(c.want))
				}
			}
		})
	}
}

// TestAnswersKeepTheirMeaning: each outcome of a delivery crosses the wire as it is.
func TestAnswersKeepTheirMeaning(t *testing.T) {
	for _, err := range append([]error{nil}, ranks[:]...) {
		if err == ErrNoAnswer {
			continue // never the answer of a node
		}
		r := reader{rest: answer{7, err, false}.append(nil)}
		if a := r.answer(); a != (answer{7, err, false}) {
			t.Errorf("%v became %v", err, a)
		}
	}
	r := reader{rest: []byte{0, 0, 0, 0, 0, 0, 0, 1, 99}}
	if a := r.answer(); a.err != ErrGone {
		t.Errorf("an unknown outcome is %v", a.err)
	}
}

func TestMalformedMessages(t *testing.T) {
	good := wired(Message{Topic: "t", Event: "e", Payload: Payload{Data: []byte("{}")}}, wire{origin: "n"}, Position{}).Append(nil)
	for name, change := range map[string]func(b []byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"version":        func(b []byte) []byte { b[0] = 2; return b },
		"kind":           func(b []byte) []byte { b[1] = kinds; return b },
		"no origin":      func([]byte) []byte { return []byte("\x01\x00\x00\x01t\x01e\x00{}") },
		"length":         func(b []byte) []byte { b[2] = 200; return b },
		"long varint":    func([]byte) []byte { return append([]byte{1, 0}, bytes.Repeat([]byte{0xff}, 12)...) },
		"flags":          func(b []byte) []byte { b[8] = 0x80; return b },
		"no object":      func(b []byte) []byte { return append(b[:9], "[1]"...) },
		"no JSON":        func(b []byte) []byte { return append(b[:9], "{]"...) },
		"part of answer": func([]byte) []byte { return []byte("\x01\x02\x01n\x00\x00\x00") },
	} {
		var bad *MalformedError
		if m, err := Decode(change(bytes.Clone(good))); !errors.As(err, &bad) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

// TestDecodeSurvivesRandomBytes mutates good messages.
func TestDecodeSurvivesRandomBytes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	good := wired(Message{Topic: "topic", Event: "event", Payload: Payload{Data: []byte(`{"a":1}`)}}, wire{origin: "n", kind: kindDelivery, id: 5}, Position{"e", 1}).Append(nil)
	for range 100_000 {
		data := bytes.Clone(good)
		for range 1 + r.IntN(3) {
			data[r.IntN(len(data))] = byte(r.Uint32())
		}
		m, err := Decode(data[:r.IntN(len(data)+1)])
		if err == nil && m.Origin() == "" {
			t.Fatalf("%q: no origin", data)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(wired(Message{Topic: "t", Payload: Payload{Data: []byte("{}")}}, wire{origin: "n"}, Position{"e", 1}).Append(nil))
	f.Add(wired(Message{}, wire{origin: "n", kind: kindAnswers, answers: []answer{{id: 1}}}, Position{}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(bytes.Clone(data))
		if err != nil {
			return
		}
		if at, kept := m.OriginPosition(); kept {
			m.more.epoch, m.more.record.Offset = at.Epoch, at.Offset
		}
		again, err := Decode(m.Append(nil))
		if err != nil || fmt.Sprint(again.Topic, again.Event, again.Payload, again.more.wire) != fmt.Sprint(m.Topic, m.Event, m.Payload, m.more.wire) {
			t.Fatalf("%+v became %+v (%v)", m, again, err)
		}
	})
}

// A subscriber that panics over a message of another node does not end the remote's
// goroutine; the next message arrives.
func TestPanicOverAMessageOfAnotherNode(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	if _, err := h.Subscribe("t", SubscriberFunc(func(*Message) bool {
		if got++; got == 1 {
			panic("oops")
		}
		return true
	})); err != nil {
		t.Fatal(err)
	}
	data := wired(Message{Topic: "t", Event: "e", Payload: Payload{Data: []byte("{}")}}, wire{origin: "n"}, Position{}).Append(nil)
	for range 2 {
		receiver{h}.Receive(bytes.Clone(data))
	}
	if s := h.Snapshot(); got != 2 || s.Crashed != 1 || s.Received != 2 {
		t.Fatalf("%d arrived, %+v", got, s)
	}
}
