package websocket_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func TestShutdown(t *testing.T) {
	f := start(t, setup{channels: map[string]*app{"room:*": {}}})
	var peers []*peer
	for range 20 {
		p := f.connect("1")
		p.join(1, "room:a")
		peers = append(peers, p)
	}
	f.broadcast("room:a", 0, 3)
	ended := make(chan error, 1)
	go func() { ended <- f.endpoint.Close(context.Background()) }()
	for _, p := range peers {
		// What was queued before comes before the close.
		p.expect(`[null,null,"room:a","e",{"n":0}]`)
		p.expect(`[null,null,"room:a","e",{"n":1}]`)
		p.expect(`[null,null,"room:a","e",{"n":2}]`)
		if code := p.closed(); code != 1001 {
			t.Fatalf("closed with %d, want 1001", code)
		}
	}
	if err := got(t, ended); err != nil {
		t.Error(err)
	}
	if s := f.endpoint.Snapshot(); s.Connections != 0 || s.Channels != 0 || s.QueuedFrames != 0 {
		t.Errorf("left over: %+v", s)
	}
	if v := f.metrics.get("websocket.connections"); v != 0 {
		t.Errorf("websocket.connections %v", v)
	}
	_, resp, err := f.dial("vsn=2.0.0", nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after shutdown: %v %v, want 503", resp, err)
	}
	if err := f.endpoint.Close(context.Background()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := &app{terminate: func(context.Context, *websocket.Channel, error) { <-release }}
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": stuck}})
		p := f.connect("1")
		p.join(1, "room:a")
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := f.endpoint.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("took %v, want 3 s", d)
		}
		close(release)
	})
}

func TestShutdownInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{Shutdown: websocket.ShutdownConfig{Batch: 2, Interval: 10 * time.Second, Code: 1012}}})
		type end struct {
			code  int
			after time.Duration
		}
		ends := make(chan end, 5)
		begin := time.Now()
		for range 5 {
			p := f.connect("1")
			go func() { ends <- end{p.closed(), time.Since(begin)} }()
		}
		if err := f.endpoint.Close(context.Background()); err != nil {
			t.Error(err)
		}
		byTime := map[time.Duration]int{}
		for range 5 {
			e := <-ends
			byTime[e.after.Truncate(10*time.Second)]++
			if e.code != 1012 {
				t.Errorf("closed with %d", e.code)
			}
		}
		if byTime[0] != 2 || byTime[10*time.Second] != 2 || byTime[20*time.Second] != 1 {
			t.Errorf("closed %v", byTime)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	var config *websocket.OptionError
	for _, bad := range []websocket.EndpointConfig{
		{Limits: websocket.EndpointLimits{Connections: -1}}, {Limits: websocket.EndpointLimits{PerAddress: -1}},
		{Limits: websocket.EndpointLimits{ConnectRate: -1}}, {Limits: websocket.EndpointLimits{PerID: -1}},
		{Limits: websocket.EndpointLimits{Channels: -1}}, {Limits: websocket.EndpointLimits{LogRate: -1}},
		{Limits: websocket.EndpointLimits{QueuedBytes: -1}},
		{Shutdown: websocket.ShutdownConfig{Code: 999}}, {Shutdown: websocket.ShutdownConfig{Code: 1006}},
		{Shutdown: websocket.ShutdownConfig{Batch: -1}}, {Shutdown: websocket.ShutdownConfig{Interval: -1}},
	} {
		if _, err := websocket.NewEndpoint(bad); !errors.As(err, &config) || config.Error() == "" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	for _, bad := range []websocket.MountConfig{
		{Suffix: "x"}, {Subprotocols: []string{""}}, {Subprotocols: []string{"a b"}},
		{Limits: websocket.Limits{MessageBytes: -1}}, {Limits: websocket.Limits{Fragments: -1}}, {Limits: websocket.Limits{Channels: -1}},
		{Limits: websocket.Limits{Inbox: -1}}, {Limits: websocket.Limits{FrameRate: -1}}, {Limits: websocket.Limits{ByteRate: -1}},
		{Limits: websocket.Limits{JoinRate: -1}},
		{Timeouts: websocket.Timeouts{Connect: -1}}, {Timeouts: websocket.Timeouts{Message: -1}}, {Timeouts: websocket.Timeouts{Idle: -1}},
		{Timeouts: websocket.Timeouts{Write: -1}}, {Timeouts: websocket.Timeouts{Close: -1}}, {Timeouts: websocket.Timeouts{Throttle: -1}},
		{Timeouts: websocket.Timeouts{Join: -1}}, {Timeouts: websocket.Timeouts{Unjoined: -1}}, {Timeouts: websocket.Timeouts{ExpiryGrace: -1}},
		{Timeouts: websocket.Timeouts{ExpiryGrace: 26 * time.Second}},
		{LongPoll: &websocket.LongPollConfig{Suffix: "x"}}, {LongPoll: &websocket.LongPollConfig{Window: -1}}, {LongPoll: &websocket.LongPollConfig{Window: 1 << 62}},
		{Queue: websocket.QueueConfig{Events: -1}}, {Queue: websocket.QueueConfig{Bytes: -1}},
		{Queue: websocket.QueueConfig{Overflow: 9}},
	} {
		if err := e.Mount("/x", s, bad); !errors.As(err, &config) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, path := range []string{"", "x", "/x/"} {
		if err := e.Mount(path, s, websocket.MountConfig{}); !errors.As(err, &config) {
			t.Errorf("path %q: %v", path, err)
		}
	}
	if err := e.Mount("/x", s, websocket.MountConfig{}); err != nil {
		t.Error(err)
	}
	if err := e.Mount("/x", s, websocket.MountConfig{}); !errors.As(err, &config) {
		t.Errorf("mounted twice: %v", err)
	}
	s.Channel("a*b", func(user, string) websocket.Handler { return nil })
	if err := e.Mount("/y", s, websocket.MountConfig{}); !errors.As(err, &config) {
		t.Errorf("bad pattern: %v", err)
	}
}
