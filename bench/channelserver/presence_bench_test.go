package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// BenchmarkPresence lets a thousand users join one topic of presences, all at
// once or each when the one before has its presence_state, over real sockets
// whose clients are in the same process. It prints the frames of presence that
// were sent to them and the seconds from the first join until the last client
// had read the last of them.
func BenchmarkPresence(b *testing.B) {
	for _, how := range []struct {
		name   string
		period time.Duration
		apart  bool
	}{{"at_once", 0, false}, {"at_once_50ms", 50 * time.Millisecond, false}, {"one_by_one", 0, true}, {"one_by_one_50ms", 50 * time.Millisecond, true}} {
		b.Run(how.name, func(b *testing.B) {
			for b.Loop() {
				frames, bytes, took := joinPresence(b, 1000, how.period, how.apart)
				b.ReportMetric(float64(frames), "frames")
				b.ReportMetric(float64(bytes)/1e6, "MB")
				b.ReportMetric(took.Seconds(), "s")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// TestManyJoinOnePresence does the same with few. One in twenty is asked whether
// it knows all of them in the end.
func TestManyJoinOnePresence(t *testing.T) {
	for _, period := range []time.Duration{0, 20 * time.Millisecond} {
		frames, _, took := joinPresence(t, 50, period, false)
		t.Logf("period %v: %d frames in %v", period, frames, took)
	}
}

// joinPresence returns the frames and bytes that the clients have read.
func joinPresence(t testing.TB, users int, period time.Duration, apart bool) (frames, bytes int64, took time.Duration) {
	s := startWith(t, options{diffPeriod: period})
	clients := make([]*present, users)
	for i := range clients {
		clients[i] = s.arrive(t, fmt.Sprint("u", i))
		clients[i].sampled = i%20 == 0
	}
	var all sync.WaitGroup
	begin := time.Now()
	count := &counted{begin: begin, joined: make(chan struct{}, users)}
	for _, c := range clients {
		all.Go(func() { c.read(t, count) })
	}
	for i, c := range clients {
		c.send(t, `["1","1","presence:p","phx_join",{}]`)
		if !apart {
			continue
		}
		// Waits without turning: the server needs the processors.
		select {
		case <-count.joined:
		case <-time.After(time.Until(begin.Add(time.Minute))):
			t.Fatalf("%d of %d have joined after a minute: this machine is too busy", i, users)
		}
	}
	// It is over when all have got the state and no diff has come for a while; the
	// time is that of the last frame.
	for last := time.Now(); count.states.Load() < int64(users) || time.Since(last) < 5*period+300*time.Millisecond; {
		if time.Since(begin) > time.Minute {
			t.Fatal("not all have joined")
		}
		wait := time.NewTimer(10 * time.Millisecond)
		<-wait.C
		last = begin.Add(time.Duration(count.last.Load()))
		took = last.Sub(begin)
	}
	for _, c := range clients {
		c.send(t, `[null,"2","phoenix","heartbeat",{}]`)
	}
	all.Wait()
	for _, c := range clients {
		if n := c.knows(t); c.sampled && n != users {
			t.Errorf("%s knows %d users, want %d", c.id, n, users)
		}
		_ = c.nc.Close()
	}
	return count.frames.Load(), count.bytes.Load(), took
}

// counted is what all clients have read.
type counted struct {
	begin                       time.Time
	frames, bytes, states, last atomic.Int64
	joined                      chan struct{} // one for each state; capacity for all
}

// present is a client that counts what it is told of the presences, and notes it
// if it is sampled.
type present struct {
	id      string
	nc      net.Conn
	r       *bufio.Reader
	sampled bool
	told    [][]byte
}

func (s *testServer) arrive(t testing.TB, id string) *present {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nc, r, _, err := ws.Dial(ctx, s.url+"/socket/websocket?vsn=2.0.0&token="+s.token(t, id, 0))
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		r = bufio.NewReaderSize(nc, 4096)
	}
	return &present{id: id, nc: nc, r: r}
}

func (c *present) send(t testing.TB, text string) {
	if err := ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
		t.Error(err)
	}
}

var (
	heartbeatReply = []byte(`[null,"2","phoenix"`)
	joinReply      = []byte(`["1","1"`)
	state          = []byte(`"presence_state"`)
)

// read reads until the reply to the heartbeat.
func (c *present) read(t testing.TB, n *counted) {
	for {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			t.Error(err)
			return
		}
		data := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, data); err != nil {
			t.Error(err)
			return
		}
		switch {
		case bytes.HasPrefix(data, heartbeatReply):
			return
		case bytes.HasPrefix(data, joinReply):
		default:
			n.frames.Add(1)
			if bytes.Contains(data[:min(len(data), 40)], state) {
				n.states.Add(1)
				n.joined <- struct{}{}
			}
			n.bytes.Add(h.Length)
			n.last.Store(int64(time.Since(n.begin)))
			if c.sampled {
				c.told = append(c.told, data)
			}
		}
	}
}

// knows is how many users a sampled client has heard of.
func (c *present) knows(t testing.TB) int {
	keys := map[string]bool{}
	for _, data := range c.told {
		var parts [5]json.RawMessage
		if err := json.Unmarshal(data, &parts); err != nil {
			t.Error(err)
		}
		var diff struct{ Joins map[string]json.RawMessage }
		if string(parts[3]) == `"presence_state"` {
			diff.Joins = map[string]json.RawMessage{}
			if err := json.Unmarshal(parts[4], &diff.Joins); err != nil {
				t.Error(err)
			}
		} else if err := json.Unmarshal(parts[4], &diff); err != nil {
			t.Error(err)
		}
		for key := range diff.Joins {
			keys[key] = true
		}
	}
	return len(keys)
}
