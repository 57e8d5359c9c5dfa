package websocket_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestMalformedMessages is the table "Messages that cannot be handled" of
// docs/security.md: which of them get an error reply, and with which code the others
// close the connection.
func TestMalformedMessages(t *testing.T) {
	reply := func(limit string) string {
		return `["1","9","room:a","phx_reply",{"response":{"reason":"malformed message","limit":"` + limit + `"},"status":"error"}]`
	}
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, test := range []struct {
		name, message string
		reply         string // an error reply, or
		code          int    // the connection is closed
	}{
		{"push with a lone surrogate", `["1","9","room:a","echo",{"text":"hi \ud83d"}]`, reply("lone surrogate"), 0},
		{"join with a lone surrogate", `["1","9","room:a","phx_join",{"name":"hi \ud83d"}]`, reply("lone surrogate"), 0},
		{"leave with a lone surrogate", `["1","9","room:a","phx_leave","\udc00"]`, reply("lone surrogate"), 0},
		{"key twice", `["1","9","room:a","echo",{"a":1,"a":1}]`, reply("duplicate key"), 0},
		{"number beyond float64", `["1","9","room:a","echo",1e999]`, reply("number out of range"), 0},
		{"too deep", `["1","9","room:a","echo",` + deep + `]`, reply("nested too deep"), 0},
		{"ref too long", `["1","` + strings.Repeat("9", 256) + `","room:a","echo",{}]`,
			`["1","` + strings.Repeat("9", 256) + `","room:a","phx_reply",{"response":{"reason":"malformed message","limit":"ref too long"},"status":"error"}]`, 0},
		{"invalid UTF-8", "[\"1\",\"9\",\"room:a\",\"echo\",\"\xff\"]", "", 1007},
		{"too long", `["1","9","room:a","echo","` + strings.Repeat("x", 64<<10) + `"]`, "", 1009},
		{"no JSON", `["1","9","room:a","echo",{]`, "", 1011},
		{"cut", `["1","9","room:a","echo",{"text":"hi \ud83d`, "", 1011},
		{"object for version 2", `{"topic":"room:a","event":"echo","payload":{},"ref":"9"}`, "", 1011},
		{"four elements", `["1","9","room:a","echo"]`, "", 1011},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := &rawLog{}
			f := start(t, setup{channels: map[string]*app{"room:*": {}}, endpoint: websocket.EndpointConfig{Logger: slog.New(log)}})
			p := f.connect("1")
			p.join(1, "room:a")
			p.join(2, "room:b")
			p.send("%s", test.message)
			if test.code != 0 {
				if code := p.closed(); code != test.code {
					t.Errorf("closed with %d, want %d", code, test.code)
				}
				if n := f.metrics.get(fmt.Sprint("websocket.breaches,code:", test.code)); n != 1 {
					t.Errorf("%v breaches counted", n)
				}
				if !strings.Contains(log.String(), "connection closed") {
					t.Errorf("not logged: %s", log)
				}
				return
			}
			p.expect(test.reply)
			p.send(`["2","10","room:b","echo",{"x":1}]`) // all other topics go on
			p.expect(`["2","10","room:b","phx_reply",{"response":{"x":1},"status":"ok"}]`)
			p.send(`["1","11","room:a","echo",{"x":1}]`) // and so does this one
			p.expect(`["1","11","room:a","phx_reply",{"response":{"x":1},"status":"ok"}]`)
			if n := f.metrics.get("websocket.rejected,reason:malformed"); n != 1 {
				t.Errorf("%v refusals counted", n)
			}
			if got := log.String(); !strings.Contains(got, "message refused: malformed") || !strings.Contains(got, "room:a") {
				t.Errorf("not logged: %s", got)
			}
		})
	}
	t.Run("without a ref", func(t *testing.T) {
		f := start(t, setup{channels: map[string]*app{"room:*": {}}})
		p := f.connect("1")
		p.join(1, "room:a")
		p.send(`["1",null,"room:a","echo","\ud83d"]`)
		p.send(`["1","2","room:a","echo",{}]`)
		p.expect(`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`) // and nothing before
		if n := f.metrics.get("websocket.rejected,reason:malformed"); n != 1 {
			t.Errorf("%v refusals counted", n)
		}
	})
	t.Run("version 1", func(t *testing.T) {
		f := start(t, setup{channels: map[string]*app{"room:*": {}}})
		c, _, err := f.dial("vsn=1.0.0", &client.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, ws: c}
		p.send(`{"topic":"room:a","event":"phx_join","payload":{"name":"\ud83d"},"ref":"1","join_ref":"1"}`)
		p.expect(`{"event":"phx_reply","payload":{"response":{"reason":"malformed message","limit":"lone surrogate"},"status":"error"},"ref":"1","topic":"room:a"}`)
	})
}

// TestRepeatedMessageIsHeldOff: a client that connects again and sends the same bad
// message, as phoenix.js does with a join, cannot spin.
func TestRepeatedMessageIsHeldOff(t *testing.T) {
	for name, message := range map[string]string{
		"too long": `["1","1","room:a","phx_join","` + strings.Repeat("x", 64<<10) + `"]`,
		"no JSON":  `["1","1","room:a","phx_join",{]`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, setup{pipes: true, mount: websocket.MountConfig{Timeouts: websocket.Timeouts{HoldOff: time.Second}}})
				begin, tries := time.Now(), 0
				for ; time.Since(begin) < 5*time.Second; tries++ {
					c := f.raw()
					c.frame(final|text, []byte(message))
					if code := c.closeCode(); code != 1009 && code != 1011 {
						t.Fatalf("closed with %d", code)
					}
				}
				if tries > 6 {
					t.Errorf("%d tries in 5 s", tries)
				}
			})
		})
	}
	t.Run("long poll", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, setup{pipes: true, mount: websocket.MountConfig{
				LongPoll: &websocket.LongPollConfig{}, Timeouts: websocket.Timeouts{HoldOff: time.Second},
			}, channels: map[string]*app{"room:*": {}}})
			p := f.poll("vsn=2.0.0")
			// Invalid UTF-8 and a lone surrogate get a reply, and the session goes on.
			p.post("[\"1\",\"1\",\"room:a\",\"phx_join\",{\"name\":\"\xff\"}]", `["1","2","room:a","phx_join","\ud83d"]`)
			got := p.get()
			if all := strings.Join(got.Messages, " "); got.Status != 200 || !strings.Contains(all, "invalid UTF-8") || !strings.Contains(all, "lone surrogate") {
				t.Errorf("got %v", got)
			}
			begin := time.Now()
			if status := p.post(`["1","1","room:a","phx_join",{]`); status != 410 {
				t.Errorf("status %d", status)
			}
			if took := time.Since(begin); took < time.Second {
				t.Errorf("the session ended after %v", took)
			}
		})
	})
}

// TestRefusalsAreCountedAndLogged: nothing that a client sends is refused in silence,
// and a flood of one reason is one line a second with the number since.
func TestRefusalsAreCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &rawLog{}
		f := start(t, setup{pipes: true,
			endpoint: websocket.EndpointConfig{Logger: slog.New(log)},
			mount:    websocket.MountConfig{Limits: websocket.Limits{Channels: 1}},
			channels: map[string]*app{
				"room:*": {}, "no:*": {join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
					return nil, websocket.Refuse("not you")
				}},
			},
		})
		p := f.connect("1")
		send := func(topic, event string) {
			t.Helper()
			p.send(`["7","7",%q,%q,{}]`, topic, event)
			if got := p.read(); !strings.Contains(got, `"status":"error"`) {
				t.Fatalf("%s: %s", topic, got)
			}
		}
		for range 3 {
			send("nothing", "phx_join")
			send("room:u@ex.com", "phx_join")
			send("room:z", "say")
			send("no:x", "phx_join")
		}
		p.join(1, "room:a")
		send("room:b", "phx_join")
		p.send(`["0","8","room:a","say",{}]`) // of an earlier join
		p.send(`["1","9","room:a","say",{}]`)
		p.expect(`["1","9","room:a","phx_reply",{"response":{},"status":"ok"}]`)
		pass(time.Second)
		send("nothing\n", "phx_join")
		send("nothing", "phx_join")
		for reason, want := range map[string]float64{"unmatched": 7, "topic": 4, "channels": 1, "join": 3, "stale": 1} {
			if n := f.metrics.get("websocket.rejected,reason:" + reason); n != want {
				t.Errorf("%s: counted %v, want %v", reason, n, want)
			}
		}
		for line, want := range map[string]int{
			"message refused: unmatched topic": 2, "message refused: topic not allowed": 2, "join refused: too many channels": 1,
			"join refused by its handler": 1, "message ignored: of an earlier join": 1, "left_out=2": 1, "left_out=5": 1, `nothing\n`: 1,
		} {
			if n := bytes.Count([]byte(log.String()), []byte(line)); n != want {
				t.Errorf("%q logged %d times, want %d:\n%s", line, n, want, log)
			}
		}
	})
}

// TestTheLimitOfARefusedJoinIsNamed: an operator reads which of the two limits of
// channels to raise.
func TestTheLimitOfARefusedJoinIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			one, all int
			want     string
		}{
			{1, 2, "option=Limits.Channels limit=1"},
			{2, 1, "option=EndpointLimits.Channels limit=1"},
		} {
			log := &rawLog{}
			f := start(t, setup{pipes: true,
				endpoint: websocket.EndpointConfig{Logger: slog.New(log), Limits: websocket.EndpointLimits{Channels: tt.all}},
				mount:    websocket.MountConfig{Limits: websocket.Limits{Channels: tt.one}},
				channels: map[string]*app{"room:*": {}},
			})
			p := f.connect("1")
			p.join(1, "room:a")
			p.send(`["2","2","room:b","phx_join",{}]`)
			p.expect(`["2","2","room:b","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]`)
			if !strings.Contains(log.String(), tt.want) {
				t.Errorf("want %q in\n%s", tt.want, log)
			}
		}
	})
}
