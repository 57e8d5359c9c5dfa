package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
	"github.com/penstock-go/penstock/token"
)

// sources are the places where pushes can wait; the pipeline keeps its promises
// with each.
var sources = []string{"memory", "kafka"}

func TestPushesArriveInOrderFromBeginToEnd(t *testing.T) {
	t.Parallel()
	for _, source := range sources {
		t.Run(source, func(t *testing.T) {
			r := start(t, "-source", source)
			s := r.join("1")
			ctx := within(t, patience)
			for n := 1; n <= 10; n++ {
				r.push("1", n)
				got, err := s.next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if got.Data.N != n || got.Seq != uint64(n) || got.Topic != "user:1" {
					t.Fatalf("got %+v, want push %d", got, n)
				}
			}
			const burst = 500
			var body []string
			for n := range burst {
				body = append(body, fmt.Sprintf(`{"user_id":"1","data":{"n":%d}}`, 11+n))
			}
			if status, answer := post(t, r.url("/push"), "["+strings.Join(body, ",")+"]"); status != http.StatusAccepted {
				t.Fatalf("%d %s", status, answer)
			}
			for n := range burst {
				got, err := s.next(ctx)
				if err != nil || got.Data.N != 11+n {
					t.Fatalf("got %+v %v, want push %d", got, err, 11+n)
				}
			}
			sum := r.stop()
			if sum.Delivered != 10+burst || sum.Enqueued != 10+burst {
				t.Errorf("%+v", sum)
			}
		})
	}
}

func TestPushIsNeverDeliveredToAnotherUser(t *testing.T) {
	r := start(t)
	one, two := r.join("1"), r.join("2")
	ctx := within(t, patience)
	for n := range 20 {
		r.push("1", n)
	}
	r.push("2", 99)
	// Everything for user 1 was taken in before the push for user 2; had any of
	// it gone astray, it would be in front of this one or come before the next.
	if got, err := two.next(ctx); err != nil || got.Data.N != 99 || got.Topic != "user:2" {
		t.Fatalf("user 2 got %+v %v", got, err)
	}
	for n := range 20 {
		if got, err := one.next(ctx); err != nil || got.Data.N != n || got.Topic != "user:1" {
			t.Fatalf("user 1 got %+v %v", got, err)
		}
	}
	r.push("2", 100)
	if got, err := two.next(ctx); err != nil || got.Data.N != 100 {
		t.Fatalf("user 2 got %+v %v", got, err)
	}
}

func TestMeasurementsReachAStatsDServer(t *testing.T) {
	server, err := statsdserver.Listen(statsdserver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r := start(t, "-statsd", server.Addr(), "-work", "1ms")
	s := r.join("7")
	ctx := within(t, patience)
	begin := time.Now()
	r.push("7", 1)
	if _, err := s.next(ctx); err != nil {
		t.Fatal(err)
	}
	arrived := func(name, tags string, kind statsdserver.Kind) func(statsdserver.Snapshot) bool {
		return func(snap statsdserver.Snapshot) bool {
			series, ok := snap.Find(name, tags)
			return ok && series.Kind == kind && (kind != statsdserver.Timer || series.Life.Count == 1)
		}
	}
	for _, want := range []func(statsdserver.Snapshot) bool{
		arrived("pipeline.push_delivered", "class:light", statsdserver.Timer),
		arrived("pipeline.worker.process_time", "", statsdserver.Timer),
		arrived("socket_connect", "socket:UserSocket,status:success", statsdserver.Counter),
		arrived("channel_join", "channel:user_*,status:success", statsdserver.Counter),
	} {
		if err := server.Wait(ctx, want); err != nil {
			t.Fatalf("%v in %+v", err, server.Snapshot().Series)
		}
	}
	measured, _ := server.Snapshot().Find("pipeline.push_delivered", "class:light")
	elapsed := time.Since(begin) // the client may read a push before the end of its write is noted
	if got := measured.Life.Max; got <= 0 || got > elapsed {
		t.Errorf("measured %v between enqueue and delivery; all of it took %v", got, elapsed)
	}
}

func TestSocketNeedsAToken(t *testing.T) {
	const secret = "a secret of more than twenty bytes"
	r := start(t, "-secret-file", fileWith(t, secret+"\n"))
	tokens, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: secret})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(salt string, data any, signedAt time.Time) string {
		tok, err := tokens.Sign(salt, data, token.SignConfig{SignedAt: signedAt})
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	fields := func(user any, ends any) map[string]any { return map[string]any{fieldUser: user, fieldEnds: ends} }
	soon := time.Now().Add(time.Minute).UnixMilli()
	good := sign(tokenSalt, fields("1", soon), time.Now())
	for name, tok := range map[string]string{
		"missing":        "",
		"garbage":        "garbage",
		"another salt":   sign("other", fields("1", soon), time.Now()),
		"expired":        sign(tokenSalt, fields("1", soon), time.Now().Add(-25*time.Hour)),
		"altered":        good[:len(good)-2] + "xx",
		"not a user":     sign(tokenSalt, 7, time.Now()),
		"without an end": sign(tokenSalt, "1", time.Now()),
		"no user":        sign(tokenSalt, fields(7, soon), time.Now()),
		"not a valid id": sign(tokenSalt, fields("a:b", soon), time.Now()),
	} {
		conn, resp, err := dial(t.Context(), r.listener.Addr().String(), tok, nil)
		if err == nil {
			conn.CloseNow()
			t.Errorf("%s: let in", name)
			continue
		}
		if resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
	inURL := socketURL(r.listener.Addr().String()) + "&token=" + good
	if conn, _, err := websocket.Dial(t.Context(), inURL, nil); err == nil {
		conn.CloseNow()
		t.Error("a token in the URL is let in")
	}
	if _, err := join(t.Context(), t, r.listener.Addr().String(), good, "2"); err == nil || !strings.Contains(err.Error(), "unauthorized") {
		t.Errorf("user 1 joined user:2: %v", err)
	}
}

func TestUserWithoutChannelIsCountedAsDiscarded(t *testing.T) {
	for _, source := range sources {
		t.Run(source, func(t *testing.T) {
			r := start(t, "-source", source)
			for n := range 5 {
				r.push("absent", n)
			}
			sum := r.stop()
			if sum.Enqueued != 5 || sum.Delivered != 0 || sum.Discarded["no_subscriber"] != 5 {
				t.Errorf("%+v", sum)
			}
			// The metric agrees: each is recorded once.
			var recorded float64
			for _, s := range r.statsd.Snapshot().Series {
				if s.Name == "pipeline.discarded" {
					recorded += s.Value
				}
			}
			if recorded != 5 {
				t.Errorf("pipeline.discarded is %v", recorded)
			}
		})
	}
}

func TestSeveralTabsOfAUserEachGetThePush(t *testing.T) {
	t.Parallel()
	r := start(t)
	tabs := []*subscriber{r.join("1"), r.join("1"), r.join("1")}
	ctx := within(t, patience)
	for n := range 50 {
		r.push("1", n)
	}
	for i, tab := range tabs {
		for n := range 50 {
			if got, err := tab.next(ctx); err != nil || got.Data.N != n {
				t.Fatalf("tab %d got %+v %v, want %d", i, got, err, n)
			}
		}
	}
	if sum := r.stop(); sum.Delivered != 50 {
		t.Errorf("a push to three tabs is one push: %+v", sum)
	}
}

func TestLoadIsAccountedFor(t *testing.T) {
	t.Parallel()
	for _, source := range sources {
		t.Run(source, func(t *testing.T) {
			// 1000 pushes of the load are enough. A machine that does other things makes fewer in the time, or its
			// broker confirms none: then it gets more time.
			for duration := 1500 * time.Millisecond; ; duration *= 4 {
				if sum := loadFor(t, source, duration); sum.Enqueued >= 1000 {
					return
				} else if duration > 20*time.Second {
					t.Fatalf("few pushes in %v: %+v", duration, sum)
				}
			}
		})
	}
}

// loadFor runs the program with a load and checks that it accounts for all of it.
func loadFor(t *testing.T, source string, duration time.Duration) (sum summary) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := command([]string{
		"-source", source, "-addr", "127.0.0.1:0", "-debug-addr", "127.0.0.1:0", "-duration", duration.String(), "-json",
		"-users", "20", "-rate", "1000", "-log-level", "warn",
	}, nil, &out, &errOut)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, errOut.String())
	}
	d := json.NewDecoder(&out)
	if err := d.Decode(&sum); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("something follows the summary on standard output")
	}
	if !sum.balanced() || sum.Queued != 0 || sum.Duplicates+sum.OutOfOrder+sum.WrongUser != 0 {
		t.Errorf("%+v", sum)
	}
	if sum.Delivered != sum.Light.Count+sum.Heavy.Count || sum.Delivered < sum.Enqueued*9/10 {
		t.Errorf("delivered %d, measured %d and %d", sum.Delivered, sum.Light.Count, sum.Heavy.Count)
	}
	if !strings.Contains(errOut.String(), "p99 light") {
		t.Errorf("no line of progress:\n%s", errOut.String())
	}
	return sum
}

func TestSocketsAreClosedAsGoingAway(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := r.join("1")
	r.push("1", 1)
	r.stop()
	ctx := within(t, patience)
	if _, err := s.next(ctx); err != nil {
		t.Fatalf("the push that was taken in did not arrive: %v", err)
	}
	if _, err := s.next(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("closed with %v", err)
	}
}

func TestOperations(t *testing.T) {
	r := start(t)
	get := func(path string) (int, string) {
		resp, err := http.Get(r.url(path))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for path, want := range map[string]string{"/healthz": `"ok":true`, "/readyz": `"ready":true`, "/api/stats": `"stages":[{"name":"memory"`, "/": "<html", "/api/token?user=1": `"token":"SFMyNTY.`} {
		if status, body := get(path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	for path, want := range map[string]int{"/debug/pprof/": 404, "/debug/stages": 404, "/api/token?user=a:b": 400, "/api/nap?ms=5000": 400, "/nowhere": 404} {
		if status, _ := get(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	resp, err := http.Get(r.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("the page may load from anywhere: %q", policy)
	}
	cross, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url("/push"), strings.NewReader(`{"user_id":"1","data":{}}`))
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	if resp, err = http.DefaultClient.Do(cross); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site's page may push: %d", resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestDebugListenerIsItsOwn(t *testing.T) {
	r := start(t, "-debug-addr", "127.0.0.1:0")
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/debug/stages"} {
		resp, err := http.Get("http://" + r.debugListener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestGraceLetsAClientComeBack(t *testing.T) {
	r := start(t, "-grace", "30s")
	for n := range 3 {
		r.push("1", n)
	}
	s := r.join("1")
	ctx := within(t, patience)
	for n := range 3 {
		if got, err := s.next(ctx); err != nil || got.Data.N != n {
			t.Fatalf("got %+v %v, want %d", got, err, n)
		}
	}
}

func TestStartFailsWithAReason(t *testing.T) {
	r := start(t)
	var out, errOut bytes.Buffer
	code := command([]string{"-addr", r.listener.Addr().String(), "-debug-addr", "off"}, nil, &out, &errOut)
	if code != 1 || !strings.Contains(errOut.String(), "-addr") {
		t.Errorf("exit code %d\n%s", code, errOut.String())
	}
}

func TestLoadIsOpenLoop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []push
	users := map[string]int{}
	l := &load{users: 10, rate: 100_000, heavyShare: 0.5, enter: func(p []push, _ func(error)) error {
		got = append(got, p...)
		users[p[0].User]++
		if len(got) == 20_000 {
			cancel()
		}
		return errFull // it goes on all the same
	}}
	l.run(ctx, time.Now())
	for i := 1; i < len(got); i++ {
		if gap := got[i].At.Sub(got[i-1].At); gap < 9*time.Microsecond || gap > 11*time.Microsecond {
			t.Fatalf("push %d is due %v after the one before", i, gap)
		}
	}
	if share := float64(users[heavyUser]) / float64(len(got)); share < 0.48 || share > 0.52 {
		t.Errorf("the heavy user got a share of %.3f", share)
	}
	for u := 2; u <= 10; u++ {
		if n := users[strconv.Itoa(u)]; n < 900 || n > 1400 {
			t.Errorf("user %d got %d of 10,000 for nine", u, n)
		}
	}
}
