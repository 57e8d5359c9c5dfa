package websocket_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// resumable is an endpoint whose topics "kept:*" are resumable, and "room:*"
// are not.
func resumable(t *testing.T, history pubsub.MemoryConfig, s setup, a *app) *fixture {
	t.Helper()
	if history.Topics == nil {
		history.Topics = []string{"kept:*"}
	}
	h, err := pubsub.NewMemory(history)
	if err != nil {
		t.Fatal(err)
	}
	if s.endpoint.PubSub, err = pubsub.New(pubsub.Config{History: h}); err != nil {
		t.Fatal(err)
	}
	s.channels = map[string]*app{"room:*": {}}
	return start(t, s, func(f *fixture) {
		for _, pattern := range []string{"kept:*", "unkept"} {
			f.socket.ChannelWith(pattern, websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return a })
		}
	})
}

// position is the field resume of a join's reply.
type position struct {
	Epoch     string `json:"epoch"`
	Offset    uint64 `json:"offset"`
	Recovered bool   `json:"recovered"`
	Reason    string `json:"reason"`
}

func (p position) params() string {
	return fmt.Sprintf(`{"resume":{"epoch":%q,"offset":%d}}`, p.Epoch, p.Offset)
}

// frame is a message of the server.
type frame struct {
	join, ref, event string
	payload          json.RawMessage
}

func (p *peer) frame() (f frame) {
	p.t.Helper()
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(p.read()), &parts); err != nil || len(parts) != 5 {
		p.t.Fatal(err)
	}
	return frame{string(parts[0]), string(parts[1]), strings.Trim(string(parts[3]), `"`), parts[4]}
}

// resume joins with join ref n and returns the reply.
func (p *peer) resume(n int, topic, params string) position {
	p.t.Helper()
	p.send(`["%d","%d",%q,"phx_join",%s]`, n, n, topic, params)
	f := p.frame()
	var reply struct {
		Status   string
		Response struct{ Resume position }
	}
	if err := json.Unmarshal(f.payload, &reply); err != nil || f.event != "phx_reply" || reply.Status != "ok" {
		p.t.Fatalf("join: %s %s %v", f.event, f.payload, err)
	}
	return reply.Response.Resume
}

func (p *peer) expectKept(join int, topic string, from, to int) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		p.expect(fmt.Sprintf(`["%d",null,%q,"e",{"n":%d,"resume_offset":%d}]`, join, topic, n-1, n))
	}
}
