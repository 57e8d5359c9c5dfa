package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

func Example() {
	m, err := codec.V2.Decode([]byte(`["1","2","room:a","say",{"text":"hi"}]`), false, codec.DefaultDepth)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := codec.Encode(map[string]string{"heard": "hi"})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := codec.V2.AppendReply(nil, m.JoinRef, m.Ref, m.Topic, "ok", p)
	fmt.Println(m.Event, string(m.Payload))
	fmt.Println(string(reply), err)
	// Output:
	// say {"text":"hi"}
	// ["1","2","room:a","phx_reply",{"response":{"heard":"hi"},"status":"ok"}] <nil>
}

func TestParseVersion(t *testing.T) {
	good := map[string]codec.Version{"": codec.V1, "1.0.0": codec.V1, "1.0.9": codec.V1, "2.0.0": codec.V2, "2.0.5": codec.V2}
	for vsn, want := range good {
		if got, err := codec.ParseVersion(vsn); err != nil || got != want {
			t.Errorf("%q: %v, %v", vsn, got, err)
		}
	}
	for _, vsn := range []string{"2.0", "2", "2.1.0", "3.0.0", "123.1.1", "garbage", "2.0.0.0", "2.0.x", "+2.0.0", "02.0.0", "2..0", " 2.0.0", "2.0.-1"} {
		if _, err := codec.ParseVersion(vsn); !errors.Is(err, codec.ErrVersion) {
			t.Errorf("%q: %v, want ErrVersion", vsn, err)
		}
	}
}

func TestDecodeText(t *testing.T) {
	tests := []struct {
		name string
		v    codec.Version
		in   string
		want codec.Message
	}{
		{"five fields", codec.V2, `["1","2","room:a","ev",{"x":1}]`,
			codec.Message{JoinRef: `"1"`, Ref: `"2"`, Topic: "room:a", Event: "ev", Payload: []byte(`{"x":1}`)}},
		{"null refs and spaces", codec.V2, " [ null , null , \"t\" , \"e\" , [ 1 , 2 ] ] \n",
			codec.Message{Topic: "t", Event: "e", Payload: []byte(`[ 1 , 2 ]`)}},
		{"numbers stay numbers", codec.V2, `[1,-2.5e3,"t","e",null]`,
			codec.Message{JoinRef: `1`, Ref: `-2.5e3`, Topic: "t", Event: "e", Payload: []byte(`null`)}},
		{"extra elements", codec.V2, `["1","2","t","e",{},"extra",{"a":[1]}]`,
			codec.Message{JoinRef: `"1"`, Ref: `"2"`, Topic: "t", Event: "e", Payload: []byte(`{}`)}},
		{"escapes", codec.V2, `["\u0031","2","r\u00f6\n","\ud83d\ude00","\\"]`,
			codec.Message{JoinRef: `"1"`, Ref: `"2"`, Topic: "rö\n", Event: "😀", Payload: []byte(`"\\"`)}},
		{"object", codec.V1, `{"topic":"t","event":"e","payload":{"a":1},"ref":"7","other":[{}]}`,
			codec.Message{Ref: `"7"`, Topic: "t", Event: "e", Payload: []byte(`{"a":1}`)}},
		{"object in another order", codec.V1, `{"ref":null,"payload":"x","event":"e","join_ref":"3","topic":"t"}`,
			codec.Message{JoinRef: `"3"`, Topic: "t", Event: "e", Payload: []byte(`"x"`)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := []byte(test.in)
			got, err := test.v.Decode(in, false, codec.DefaultDepth)
			if err != nil {
				t.Fatal(err)
			}
			clear(in) // the result must not refer to the input
			if show(got) != show(test.want) {
				t.Errorf("got  %s\nwant %s", show(got), show(test.want))
			}
		})
	}
}

func show(m codec.Message) string {
	return fmt.Sprintf("%s %s %q %q %q %v", m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload, m.Binary)
}

func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat("[", codec.DefaultDepth) + strings.Repeat("]", codec.DefaultDepth)
	v2 := []string{
		``, ` `, `{`, `[`, `[]`, `null`, `"x"`, `{"topic":"t","event":"e","payload":{},"ref":"1"}`,
		`["1","1","t"]`, `["1","1","t","e"]`, `["1","1","t","e",]`, `["1","1","t","e",{}`, `["1","1","t","e",{}]]`, `["1","1","t","e",{}] x`,
		`[{},"1","t","e",{}]`, `[true,"1","t","e",{}]`, `["1","1",null,"e",{}]`, `["1","1","t",5,{}]`,
		`["1","1","t","e",{"a"}]`, `["1","1","t","e",{a:1}]`, `["1","1","t","e",[1,]]`, `["1","1","t","e",nul]`, `["1","1","t","e",01]`,
		`["1","1","t","e",1.]`, `["1","1","t","e",-]`, `["1","1","t","e",1e]`, `["1","1","t","e",1e999999]`,
		"[\"1\",\"1\",\"t\",\"e\",\"a\nb\"]", "[\"1\",\"1\",\"t\",\"e\",\"\xff\"]", `["1","1","t","e","\ud800"]`, `["1","1","t","e","\udc00\ud800"]`,
		`["1","1","t","e","\x"]`, `["1","1","t","e","\u12"]`, `["1","1","t","e","`, "\ufeff" + `["1","1","t","e",{}]`,
		`["1","1","t","e",` + deep + `]`, strings.Repeat("[", 100_000),
		`["` + strings.Repeat("1", 300) + `","1","t","e",{}]`, `["1","1","t","e",{},]`, "[\"1\",\"1\",\"t\",\"e\",{}\x00]",
	}
	v1 := []string{
		`["1","1","t","e",{}]`, `{}`, `{"topic":"t"}`, `{"topic":"t","event":"e","payload":{}}`, `{"topic":"t","event":"e","ref":"1"}`,
		`{"topic":1,"event":"e","payload":{},"ref":"1"}`, `{"topic":"t","topic":"u","event":"e","payload":{},"ref":"1"}`,
		`{"topic":"t","event":"e","payload":{},"ref":"1"`, `{"topic":"t","event":"e","payload":{},"ref":"1",}`, `{"topic":"t" "event":"e"}`, `{1:2}`,
		`{"topic":"t","event":"e","payload":{},"ref":{}}`,
	}
	for v, inputs := range map[codec.Version][]string{codec.V2: v2, codec.V1: v1} {
		for _, in := range inputs {
			var detail *codec.DecodeError
			if _, err := v.Decode([]byte(in), false, codec.DefaultDepth); !errors.As(err, &detail) || detail.Reason == "" {
				t.Errorf("%v %.60q: %v, want a DecodeError", v, in, err)
			}
		}
	}
}

func TestBinary(t *testing.T) {
	m, err := codec.V2.Decode([]byte("\x00\x01\x02\x06\x03"+"1"+"23"+"room:b"+"bin"+"\x00\xff"), true, codec.DefaultDepth)
	if err != nil {
		t.Fatal(err)
	}
	if m.JoinRef != codec.RefOf("1") || m.Ref != codec.RefOf("23") || m.Topic != "room:b" || m.Event != "bin" || !m.Binary || string(m.Payload) != "\x00\xff" {
		t.Errorf("got %s", show(m))
	}
	if m, err = codec.V2.Decode([]byte{0, 0, 0, 0, 0}, true, codec.DefaultDepth); err != nil || m.JoinRef.IsNull() {
		t.Errorf("an empty join ref is the empty string and not null: %s, %v", show(m), err)
	}
	for _, in := range []string{"", "\x00", "\x00\x01\x01", "\x07\x01\x01\x01\x01abcd", "\x01\x00\x00\x00\x00", "\x00\x05\x05\x05\x05abc", "\x00\x01\x00\x00\x00\xff"} {
		if _, err := codec.V2.Decode([]byte(in), true, codec.DefaultDepth); err == nil {
			t.Errorf("%q was decoded", in)
		}
	}
	if _, err := codec.V1.Decode([]byte{0, 0, 0, 0, 0}, true, codec.DefaultDepth); err == nil {
		t.Error("V1 decoded a binary message")
	}
}

func TestAppend(t *testing.T) {
	js, err := codec.Encode(json.RawMessage(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	bin, err := codec.Encode(codec.Binary{9, 8})
	if err != nil {
		t.Fatal(err)
	}
	jr, ref := codec.RefOf("1"), codec.RefOf("2")
	tests := []struct {
		name string
		f    func(v codec.Version) ([]byte, error)
		v2   string
		v1   string
	}{
		{"push", func(v codec.Version) ([]byte, error) { return v.AppendMessage(nil, jr, "", "t", "e", js) },
			`["1",null,"t","e",{"a":1}]`, `{"event":"e","payload":{"a":1},"ref":null,"topic":"t"}`},
		{"close", func(v codec.Version) ([]byte, error) {
			return v.AppendMessage(nil, jr, jr, "t", "phx_close", js)
		},
			`["1","1","t","phx_close",{"a":1}]`, `{"event":"phx_close","payload":{"a":1},"ref":"1","topic":"t"}`},
		{"reply", func(v codec.Version) ([]byte, error) { return v.AppendReply(nil, jr, ref, "t", "ok", js) },
			`["1","2","t","phx_reply",{"response":{"a":1},"status":"ok"}]`, `{"event":"phx_reply","payload":{"response":{"a":1},"status":"ok"},"ref":"2","topic":"t"}`},
		{"broadcast", func(v codec.Version) ([]byte, error) { return v.AppendBroadcast(nil, "t", "e", js) },
			`[null,null,"t","e",{"a":1}]`, `{"event":"e","payload":{"a":1},"ref":null,"topic":"t"}`},
		{"binary push", func(v codec.Version) ([]byte, error) { return v.AppendMessage(nil, jr, "", "t", "e", bin) },
			"\x00\x01\x01\x011te\x09\x08", ""},
		{"binary reply", func(v codec.Version) ([]byte, error) { return v.AppendReply(nil, jr, ref, "t", "ok", bin) },
			"\x01\x01\x01\x01\x0212tok\x09\x08", ""},
		{"binary broadcast", func(v codec.Version) ([]byte, error) { return v.AppendBroadcast(nil, "t", "é", bin) },
			"\x02\x01\x02té\x09\x08", ""},
		{"escapes", func(v codec.Version) ([]byte, error) { return v.AppendBroadcast(nil, "<\"\\\n\xff>", "ü", js) },
			`[null,null,"\u003c\"\\\u000a` + "\ufffd" + `\u003e","ü",{"a":1}]`, `{"event":"ü","payload":{"a":1},"ref":null,"topic":"\u003c\"\\\u000a` + "\ufffd" + `\u003e"}`},
	}
	for _, test := range tests {
		for v, want := range map[codec.Version]string{codec.V2: test.v2, codec.V1: test.v1} {
			got, err := test.f(v)
			if want == "" {
				if !errors.Is(err, codec.ErrNoBinary) {
					t.Errorf("%s %v: %v, want ErrNoBinary", test.name, v, err)
				}
				continue
			}
			if err != nil || string(got) != want {
				t.Errorf("%s %v:\ngot  %q %v\nwant %q", test.name, v, got, err, want)
			}
		}
	}
	if out, err := codec.V2.AppendMessage([]byte("before"), jr, "", strings.Repeat("t", 256), "e", bin); !errors.Is(err, codec.ErrFieldTooLong) || string(out) != "before" {
		t.Errorf("long field: %q, %v", out, err)
	}
}

func TestEncode(t *testing.T) {
	for _, test := range []struct {
		in     any
		want   string
		object bool
	}{
		{nil, `{}`, true}, {[]byte(` {"a":1}`), ` {"a":1}`, true}, {json.RawMessage(`[1]`), `[1]`, false}, {map[string]int{"a": 1}, `{"a":1}`, true},
		{[]int{1}, `[1]`, false}, {"x", `"x"`, false}, {codec.Binary("x"), "x", true}, {codec.Payload{Data: []byte("5")}, "5", false},
		{struct{ A string }{"<"}, `{"A":"\u003c"}`, true},
	} {
		p, err := codec.Encode(test.in)
		if err != nil || string(p.Data) != test.want || p.IsObject() != test.object {
			t.Errorf("%v: %q %v %v", test.in, p.Data, p.IsObject(), err)
		}
	}
	if _, err := codec.Encode(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	var v struct{ A int }
	if err := (codec.Payload{Data: []byte(`{"A":5}`)}).Decode(&v); err != nil || v.A != 5 {
		t.Errorf("%+v, %v", v, err)
	}
	if err := (codec.Payload{Binary: true}).Decode(&v); err == nil {
		t.Error("binary was decoded as JSON")
	}
}

func TestRef(t *testing.T) {
	for _, s := range []string{"", "1", "a\"b", "ü\n"} {
		if got := codec.RefOf(s).Text(); got != s || codec.RefOf(s).IsNull() {
			t.Errorf("%q became %q", s, got)
		}
	}
	if !codec.Ref("").IsNull() || codec.Ref("1") == codec.RefOf("1") {
		t.Error("null, 1 and \"1\" are three refs")
	}
}

// allocated is the number of bytes that f allocates: the least of some runs,
// since other goroutines of the fuzzer allocate as well.
func allocated(f func()) uint64 {
	least := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
		if least == 0 {
			break
		}
	}
	return least
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`["1","2","room:a","ev",{"x":[1,"ü\u0041"]}]`, `[null,1,"t","e",null,5]`, `["1","1","t","e",{"a":1.5e308,"\u0061b":{"a":[]},"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j\n":"\ud83d\ude00"}]`, `{"topic":"t","event":"e","payload":{},"ref":"1"}`, "\x00\x01\x01\x01\x01abcde"} {
		f.Add(uint8(0), []byte(s))
		f.Add(uint8(1), []byte(s))
		f.Add(uint8(2), []byte(s))
	}
	f.Add(uint8(0), []byte(`["1","2","room:\ud83d","ev","\ud83d"]`))
	f.Add(uint8(0), []byte("[\"\xff<\",\"\\udc00\",\"room:\xff\",\"ev\",[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"))
	f.Fuzz(func(t *testing.T, how uint8, in []byte) {
		v, binary := codec.Version(how&1), how&2 != 0
		var m codec.Message
		var err error
		if n := allocated(func() { m, err = v.Decode(in, binary, codec.DefaultDepth) }); n > uint64(8*len(in)+256) {
			t.Fatalf("%d bytes allocated for %d", n, len(in))
		}
		if detail, _ := errors.AsType[*codec.DecodeError](err); detail != nil && detail.WellFormed {
			// The reply to its sender, as text.
			out, err := v.AppendReply(nil, m.JoinRef, m.Ref, m.Topic, "error", codec.Payload{Data: []byte("{}")})
			if err != nil || !json.Valid(out) || !utf8.Valid(out) || !utf8.ValidString(m.Event) || m.Payload != nil {
				t.Fatalf("refused %q as %s: reply %q, %v", in, show(m), out, err)
			}
		}
		if err != nil {
			return
		}
		if binary {
			return
		}
		var value any // which numbers beyond a float64 could not become
		if err := json.Unmarshal(m.Payload, &value); err != nil || !json.Valid(in) {
			t.Fatalf("accepted what is no JSON: %q (%v)", in, err)
		}
		out, err := v.AppendMessage(nil, m.JoinRef, m.Ref, m.Topic, m.Event, codec.Payload{Data: m.Payload})
		if err != nil {
			t.Fatal(err)
		}
		again, err := v.Decode(out, false, codec.DefaultDepth)
		if v == codec.V1 {
			m.JoinRef = "" // never sent
		}
		if err != nil || again.JoinRef != m.JoinRef || again.Ref != m.Ref || again.Topic != m.Topic || again.Event != m.Event || !bytes.Equal(again.Payload, m.Payload) {
			t.Fatalf("%s became %s (%v)", show(m), show(again), err)
		}
	})
}

func FuzzAppend(f *testing.F) {
	f.Add("1", "2", "room:a", "event<>", []byte(`{"x":1}`))
	f.Fuzz(func(t *testing.T, joinRef, ref, topic, event string, data []byte) {
		p, err := codec.Encode(map[string][]byte{"data": data})
		if err != nil {
			t.Fatal(err)
		}
		out, err := codec.V2.AppendMessage(nil, codec.RefOf(joinRef), codec.RefOf(ref), topic, event, p)
		if err != nil {
			t.Fatal(err)
		}
		var parts []any
		if err := json.Unmarshal(out, &parts); err != nil || len(parts) != 5 {
			t.Fatalf("%q: %v", out, err)
		}
		valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
		if len(topic) < 200 && parts[2] != valid(topic) && strings.ToValidUTF8(topic, "") == topic {
			t.Fatalf("topic %q became %q", topic, parts[2])
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	in := []byte(`["12","345","room:lobby","new_msg",{"text":"hello there","at":1700000000}]`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.V2.Decode(in, false, codec.DefaultDepth); err != nil {
			b.Fatal(err)
		}
	}
}
