package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/kafkatest"
	"github.com/penstock-go/penstock/token"
)

// startKafka starts Apache Kafka for this test, which needs three seconds, or skips the test.
// Its bounds of the session timeout are those that Kafka has by default.
func startKafka(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	return kafkatest.Start(t, kafkatest.Config{Settings: "group.min.session.timeout.ms=6000"})
}

// TestRealPushes is the job of the program on Apache Kafka: two processes in a group, users
// whose clients are connected to both and come back, another program that writes records to
// the topic, processes that are killed by SIGKILL, and a broker that is stopped. Every
// record reaches its user, the first deliveries of each user are in order, and what comes
// twice is less than the windows of the partitions that the killed processes had.
func TestRealPushes(t *testing.T) {
	broker := startKafka(t)
	users, rate, kills, outages := 40, 500, 2, 1
	if os.Getenv("PENSTOCK_LONG") != "" {
		users, rate, kills, outages = 200, 1000, 20, 4
	}
	const secret = "a secret of more than twenty bytes"
	// All that concerns Kafka and delivery has its default.
	flags := []string{
		"-brokers", broker.Addrs()[0], "-secret-file", fileWith(t, secret), "-debug-addr", "off", "-rate", "0", "-clients", "0", "-log-level", "warn",
	}
	members := make([]*program, 2)
	for i := range members {
		p := &program{t: t, addr: freePort(t)}
		p.args = append([]string{"-addr", p.addr}, flags...)
		p.start()
		members[i] = p
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(kills+outages)*15*time.Second+2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	tokens, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: secret})
	if err != nil {
		t.Fatal(err)
	}
	audience := make([]*follower, users)
	var connected atomic.Int64
	for i := range audience {
		user := strconv.Itoa(i + 1)
		tok, err := tokens.Sign(tokenSalt, map[string]any{fieldUser: user, fieldEnds: time.Now().Add(time.Hour).UnixMilli()}, token.SignConfig{})
		if err != nil {
			t.Fatal(err)
		}
		audience[i] = &follower{user: user, seen: map[int]int{}, all: make(chan struct{}), joined: func() { connected.Add(1) }}
		for _, p := range members {
			wg.Go(func() { audience[i].run(ctx, t, p.addr, tok) })
		}
	}
	eventually(t, time.Minute, "all clients are there", func() bool { return int(connected.Load()) == 2*users })

	w := newPourer(t, broker.Addrs()[0], users)
	stopped := make(chan struct{})
	wg.Go(func() { w.pour(ctx, stopped, rate) })
	// settled waits until all records up to now have arrived, and returns the time since
	// begun.
	settled := func(begun time.Time) time.Duration {
		made := w.counts()
		eventually(t, time.Minute, "all records have arrived", func() bool {
			for i, f := range audience {
				if f.distinct() < made[i] {
					return false
				}
			}
			return true
		})
		return time.Since(begun)
	}
	settled(time.Now())
	var afterKill, afterStop time.Duration
	for k := range kills {
		time.Sleep(500 * time.Millisecond)
		p, begun := members[k%len(members)], time.Now()
		p.kill()
		p.start()
		afterKill = max(afterKill, settled(begun))
		if (k+1)*outages/kills > k*outages/kills {
			broker.Stop(1)
			time.Sleep(time.Second)
			broker.Up(1)
			up := time.Now()
			afterStop = max(afterStop, settled(up))
		}
	}
	close(stopped)
	w.finish(ctx)
	settled(time.Now())
	for _, p := range members {
		begin := time.Now()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("a process ended with %v", err)
		}
		t.Logf("the end took %v", time.Since(begin).Round(time.Millisecond))
	}
	cancel()
	wg.Wait()

	total, missing, disorder, again := 0, 0, 0, 0
	for i, n := range w.counts() {
		f := audience[i]
		total += n
		missing += n - len(f.first)
		for j := 1; j < len(f.first); j++ {
			if f.first[j] < f.first[j-1] {
				disorder++
				t.Logf("user %s got push %d first after %d", f.user, f.first[j], f.first[j-1])
			}
		}
		for _, times := range f.seen {
			again += times - 1
		}
	}
	cfg := defaults(t)
	bound := kills * cfg.window() * cfg.Parts
	t.Logf("%d users, %d records, %d kills, %d stops of the broker: %d missing, %d out of order, %d twice (bound %d), up to date %.1f s after a kill and %.1f s after the broker was ready",
		users, total, kills, outages, missing, disorder, again, bound, afterKill.Seconds(), afterStop.Seconds())
	if missing != 0 || disorder != 0 || again > bound {
		t.Error("the promise was broken")
	}
}

// defaults returns the configuration of a program without flags.
func defaults(t *testing.T) config {
	t.Helper()
	cfg, err := parseConfig(nil, nil, testLog{t}, testLog{t})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// pourer writes records to the topic as another program would. Its records of a user are
// numbered from 1.
type pourer struct {
	t      *testing.T
	client *kgo.Client

	mu   sync.Mutex
	made []int // records by user, which the client writes until the broker has them; guarded by mu
}

func newPourer(t *testing.T, addr string, users int) *pourer {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(defaults(t).Topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &pourer{t: t, client: client, made: make([]int, users)}
}

// pour writes rate records a second until stopped is closed.
func (w *pourer) pour(ctx context.Context, stopped <-chan struct{}, rate int) {
	const ticks = 50 // a second
	ticker := time.NewTicker(time.Second / ticks)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-stopped:
			return
		case <-ctx.Done():
			return
		}
		for range rate / ticks {
			w.mu.Lock()
			user := rand.IntN(len(w.made))
			w.made[user]++
			n := w.made[user]
			w.mu.Unlock()
			w.client.Produce(ctx, &kgo.Record{
				Key:   []byte(strconv.Itoa(user + 1)),
				Value: fmt.Appendf(nil, `{"user_id":"%d","data":{"n":%d}}`, user+1, n),
			}, func(_ *kgo.Record, err error) {
				if err != nil && ctx.Err() == nil {
					w.t.Errorf("a record was not written: %v", err)
				}
			})
		}
	}
}

// finish waits until the broker has all records.
func (w *pourer) finish(ctx context.Context) {
	w.t.Helper()
	if err := w.client.Flush(ctx); err != nil {
		w.t.Error(err)
	}
}

// counts returns how many records each user has by now.
func (w *pourer) counts() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.made)
}

// TestRealSessionTimeout: a session that the program does not accept is refused with the
// range, and one that the broker alone refuses is in the log soon.
func TestRealSessionTimeout(t *testing.T) {
	broker := startKafka(t)
	refused := child(t, "program", "-brokers", broker.Addrs()[0], "-session-timeout", "900ms")
	out, err := refused.CombinedOutput()
	if err == nil || refused.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "-session-timeout 900ms is not allowed: from 1s to 5m") {
		t.Errorf("%v: %s", err, out)
	}
	p := launch(t, "-brokers", broker.Addrs()[0], "-session-timeout", "2s", "-rate", "0", "-clients", "0")
	eventually(t, patience, "the topic", func() bool { status, _ := p.readyz(); return status != 0 })
	took := eventually(t, patience, "the reason in the log", func() bool { return p.log.count("INVALID_SESSION_TIMEOUT") > 0 })
	status, body := p.readyz()
	t.Logf("in the log after %v; readyz %d %s", took, status, body)
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "cannot be read") {
		t.Errorf("%d %s", status, body)
	}
	if _, took := p.finish(); took > soon {
		t.Errorf("the end took %v", took)
	}
}
