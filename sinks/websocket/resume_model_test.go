package websocket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// said is a payload of the model.
type said struct {
	By     string `json:"by"`
	N      int    `json:"n"`
	Offset uint64 `json:"resume_offset"`
}

// ledger is what all clients of the model have seen of one topic, by offset.
type ledger struct {
	mu    sync.Mutex
	seen  map[uint64]said
	skips []skip
}

// skip reports that a client got nothing for the offsets between two.
type skip struct {
	client   string
	from, to uint64 // both excluded
}

// TestResumeModel lets clients come, go, join again and read slowly while
// several goroutines broadcast, and some clients to the others, and checks what
// each client has seen: every offset once and in order, the same message for an
// offset as any other client, and no gap that it was not told of.
func TestResumeModel(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { resumeModel(t, seed) })
	}
}

func resumeModel(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	history, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}, Events: 30 + random.IntN(300)})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := pubsub.New(pubsub.Config{History: jostling{history}})
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{PubSub: hub},
		mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 2 + random.IntN(10)}}}, func(f *fixture) {
		f.socket.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler {
			return &app{in: func(ctx context.Context, ch *websocket.Channel, _ string, p websocket.Payload) (websocket.Reply, error) {
				_, err := ch.BroadcastFrom(ctx, "e", p)
				return websocket.Reply{}, err
			}}
		})
	})
	const topic, speakers, clients, each = "kept:a", 3, 4, 200
	l := &ledger{seen: make(map[uint64]said)}
	var speaking, reading sync.WaitGroup
	for n := range speakers {
		r := rand.New(rand.NewPCG(seed, uint64(n+1)))
		speaking.Go(func() {
			for i := range each {
				if _, err := f.endpoint.Broadcast(t.Context(), topic, "e", said{By: fmt.Sprint("s", n), N: i}); err != nil {
					t.Error(err)
				}
				for range r.IntN(20) {
					runtime.Gosched()
				}
			}
		})
	}
	// When all has been said, something is said now and then, so that a client
	// that has everything hears that it is over; ever more rarely, so that one that
	// is slow on a busy machine catches up.
	silent, done := make(chan struct{}), make(chan struct{})
	var last sync.WaitGroup
	last.Go(func() {
		speaking.Wait()
		close(silent)
		for n := 0; ; n++ {
			pause := time.NewTimer(time.Duration(n+1) * 10 * time.Millisecond)
			select {
			case <-done:
				pause.Stop()
				return
			case <-pause.C:
				if _, err := f.endpoint.Broadcast(context.Background(), topic, "e", said{By: "end", N: n}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for n := range clients {
		c := &modelClient{t: t, f: f, l: l, topic: topic, name: fmt.Sprint("c", n), r: rand.New(rand.NewPCG(seed, uint64(n+100))), silent: silent}
		reading.Go(c.run)
	}
	reading.Wait()
	close(done)
	last.Wait()
	spoke := map[string]int{}
	_, now, _ := f.endpoint.PubSub().History().Since(t.Context(), topic, pubsub.Position{})
	for offset := range now.Offset {
		if s, ok := l.seen[offset+1]; ok {
			// A client's connections are not in order; each speaker is one goroutine.
			if before, ok := spoke[s.By]; ok && s.N <= before && s.By[0] == 's' {
				t.Errorf("%s said %d before %d", s.By, before, s.N)
			}
			spoke[s.By] = s.N
		}
	}
	for _, skip := range l.skips {
		for o := skip.from + 1; o < skip.to; o++ {
			if s, ok := l.seen[o]; ok && s.By != skip.client {
				t.Errorf("%s missed %+v silently", skip.client, s)
			}
		}
	}
}

// jostling is a history that lets broadcasts overtake each other on their way
// to the subscribers.
type jostling struct{ *pubsub.Memory }

func (h jostling) Append(ctx context.Context, m *pubsub.Message) error {
	err := h.Memory.Append(ctx, m)
	for range rand.IntN(5) {
		runtime.Gosched()
	}
	return err
}

type modelClient struct {
	t      *testing.T
	f      *fixture
	l      *ledger
	topic  string
	name   string
	r      *rand.Rand
	silent chan struct{} // closed when no client sends any more

	at     position
	refs   int
	told   int // its own broadcasts so far
	before int // of them, before the present join
}

// run connects again and again until no client sends and all has been read.
func (c *modelClient) run() {
	for !c.t.Failed() && !c.connection() {
	}
}

func (c *modelClient) top() uint64 {
	_, now, _ := c.f.endpoint.PubSub().History().Since(context.Background(), c.topic, pubsub.Position{})
	return now.Offset
}

// connection is one connection; it reports whether all is over.
func (c *modelClient) connection() bool {
	conn, _, err := c.f.dial("vsn=2.0.0", nil)
	if err != nil {
		c.t.Error(err)
		return true
	}
	defer func() { _ = conn.CloseNow() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const patience = time.Minute
	vain := time.AfterFunc(patience, cancel)
	defer vain.Stop()
	join := ""
	send := func(event, params string) bool {
		c.refs++
		if event == "phx_join" {
			join, c.before = fmt.Sprintf(`"%d"`, c.refs), c.told
		}
		return conn.Write(ctx, 1, fmt.Appendf(nil, `[%s,"%d",%q,%q,%s]`, join, c.refs, c.topic, event, params)) == nil
	}
	if !send("phx_join", c.at.params()) {
		return false
	}
	joined := false
	for left := c.r.IntN(150); ; left-- {
		select {
		case <-c.silent:
			if joined && c.at.Offset == c.top() {
				return true
			}
		default:
			if left < 0 {
				return false // drops
			}
		}
		_, data, err := conn.Read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				c.t.Errorf("%s waits in vain at %d of %d", c.name, c.at.Offset, c.top())
				return true
			}
			return false
		}
		vain.Reset(patience)
		var m [5]json.RawMessage
		if err := json.Unmarshal(data, &m); err != nil {
			c.t.Error(err)
			return true
		}
		event := string(m[3])
		switch {
		case event == `"phx_reply"` && string(m[0]) == join:
			c.replied(m[4])
			joined = true
		case event == `"phx_close"`:
		case string(m[0]) != join: // of an earlier join
		case !joined:
			c.t.Errorf("%s before the reply to the join", data)
		default:
			c.take(event, m[4])
		}
		switch c.r.IntN(60) {
		case 0:
			joined = !send("phx_join", c.at.params()) && joined
		case 1, 2:
			if joined {
				c.told++
				send("tell", fmt.Sprintf(`{"by":%q,"n":%d}`, c.name, c.told))
			}
		}
		for range c.r.IntN(30) {
			runtime.Gosched()
		}
	}
}

func (c *modelClient) replied(payload json.RawMessage) {
	var reply struct{ Response struct{ Resume position } }
	if err := json.Unmarshal(payload, &reply); err != nil {
		c.t.Error(err)
	}
	now := reply.Response.Resume
	switch {
	case now.Recovered && now != position{Epoch: c.at.Epoch, Offset: c.at.Offset, Recovered: true}:
		c.t.Errorf("%s recovered at %+v, was at %+v", c.name, now, c.at)
	case !now.Recovered && now.Offset < c.at.Offset:
		c.t.Errorf("%s went back to %+v from %+v", c.name, now, c.at)
	}
	c.at = position{Epoch: now.Epoch, Offset: now.Offset}
}

// take checks one broadcast.
func (c *modelClient) take(event string, payload json.RawMessage) {
	var s said
	if err := json.Unmarshal(payload, &s); err != nil {
		c.t.Error(err)
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if s.Offset <= c.at.Offset {
		c.t.Errorf("%s got %+v again, at %d", c.name, s, c.at.Offset)
	}
	if s.By == c.name && s.N > c.before {
		c.t.Errorf("%s got %+v, which was for the others", c.name, s)
	}
	to := s.Offset
	if event == `"resume_offset"` {
		to++
	} else {
		before, ok := c.l.seen[s.Offset]
		if ok && before != s {
			c.t.Errorf("%s got %+v, another client %+v", c.name, s, before)
		}
		c.l.seen[s.Offset] = s
	}
	if to > c.at.Offset+1 {
		c.l.skips = append(c.l.skips, skip{c.name, c.at.Offset, to})
	}
	c.at.Offset = s.Offset
}
