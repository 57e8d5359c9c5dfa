//go:build linux

package main

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/bench/internal/fleet"
)

// TestMain is also the process of a server, which the command starts.
func TestMain(m *testing.M) {
	if name := os.Getenv(serveVariable); name != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEveryServerDoesEveryWork(t *testing.T) {
	before := settle
	settle = 0
	t.Cleanup(func() { settle = before })
	o, err := parse([]string{"-conns", "20", "-rounds", "1"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	measured, err := compare(t.Context(), o, &out, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	for _, p := range peers {
		if n := strings.Count(out.String(), "\n| "+p.name+" "); n != len(o.works) {
			t.Errorf("%s has %d rows, want %d, in\n%s", p.name, n, len(o.works), out.String())
		}
		if best, found := measured.Best(p.kind(), "room", "M/s", false); !found {
			t.Errorf("no results of a %s: %+v", p.kind(), best)
		}
	}
}

func TestRefusedFlags(t *testing.T) {
	for _, args := range [][]string{{"-conns", "0"}, {"-rounds", "0"}, {"-peers", "none"}, {"-works", "none"}, {"more"}, {"-write", "x", "-works", "room"}, {"-write", "x", "-peers", "bare"}} {
		if _, err := parse(args, new(bytes.Buffer)); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

// A run that made less than its rate is marked as void.
func TestRunBelowItsRate(t *testing.T) {
	d := delivery{Tally: fleet.NewTally()}
	d.Deliveries = 60_000
	for _, tt := range []struct {
		took time.Duration
		void bool
	}{{2900 * time.Millisecond, false}, {3 * time.Second, false}, {3002 * time.Millisecond, false}, {3004 * time.Millisecond, true}, {6 * time.Second, true}} {
		var out bytes.Buffer
		w := work{name: "paced", columns: latencyColumns, ratio: 3}
		printTable(&out, w, peers[:1], []result{{runs: [][]float64{d.latencies(20_000, tt.took)}}})
		if strings.Contains(out.String(), " (void) ") != tt.void {
			t.Errorf("%v:\n%s", tt.took, out.String())
		}
	}
}

// A push that could not be made in time because of those before it is as old as it is late; a
// goroutine that woke up late makes none older.
func TestStampsOfPacedPushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &slowServer{each: 3 * time.Millisecond}
		if err := pushAll(s, start, 1, 4, 1000); err != nil {
			t.Fatal(err)
		}
		for i, stamp := range s.stamps {
			if want := start.Add(time.Duration(i) * time.Millisecond).UnixNano(); stamp != want {
				t.Errorf("push %d has %d, want %d", i, stamp, want)
			}
		}
	})
	p := pace{start: time.Unix(0, 0), rate: 1000, woken: time.Unix(0, 2_500_000)}
	for i, want := range []int64{2_500_000, 2_500_000, 2_500_000, 3_000_000} {
		if got := p.stamp(i); got != want {
			t.Errorf("stamp %d is %d, want %d", i, got, want)
		}
	}
}

// slowServer takes its time for each push.
type slowServer struct {
	each   time.Duration
	stamps []int64
}

func (s *slowServer) serve(net.Listener) error { return nil }

func (s *slowServer) publish(topic string, payload []byte) error {
	ts, _, ok := numbers(append([]byte(`"`+topic+`"`), payload...), []byte(`"`+topic+`"`), false)
	if !ok {
		return fleet.ErrFrame
	}
	s.stamps = append(s.stamps, ts)
	time.Sleep(s.each)
	return nil
}

func TestNumbersOfAMessage(t *testing.T) {
	payload := string(appendPayload(nil, 12, 34))
	for _, tt := range []struct {
		name, message, topic string
		echo, ok             bool
	}{
		{"Phoenix", `[null,null,"user:1","msg",` + payload + `]`, "user:1", false, true},
		{"Centrifuge", `{"push":{"channel":"user:1","pub":{"data":` + payload + `}}}`, "user:1", false, true},
		{"another topic", `[null,null,"user:12","msg",` + payload + `]`, "user:1", false, false},
		{"an echo", `{"id":3,"rpc":{"data":` + payload + `}}`, "user:1", true, true},
		{"cut off", `[null,null,"user:1","msg",` + payload[:200], "user:1", false, false},
		{"something else", `[null,null,"user:1","msg",{}]`, "user:1", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts, seq, ok := numbers([]byte(tt.message), []byte(`"`+tt.topic+`"`), tt.echo)
			if ok != tt.ok || ok && (ts != 12 || seq != 34) {
				t.Errorf("%d, %d, %v", ts, seq, ok)
			}
		})
	}
}

func TestResponses(t *testing.T) {
	for _, tt := range []struct{ in, topic, response string }{
		{`["1","1","room:load","phx_join",{}]`, "room:load", `["1","1","room:load","phx_reply",{"status":"ok","response":{}}]`},
		{`["1","2","user:3","echo",{"a":"b"}]`, "", `["1","2","user:3","phx_reply",{"status":"ok","response":{"a":"b"}}]`},
		{`nothing`, "", ""},
	} {
		topic, response := respond([]byte(tt.in))
		if topic != tt.topic || string(response) != tt.response {
			t.Errorf("%s: %q, %s", tt.in, topic, response)
		}
	}
}
