package kafka

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/kafkatest"
	"github.com/penstock-go/penstock/stage"
)

// The tests of this file break something around members that work, on Apache Kafka: the
// processes of members, brokers, connections, and what the members write to.

// limits of R8 and R10, for tests at their whole length: others may run on a shared machine.
const (
	recovery = 5 * time.Second
	idle     = 0.05 // of a processor, while there is nothing to do but to wait
)

// TestRealTermUnderLoad drains members under load by SIGTERM and starts others: nothing is
// lost, and nothing comes twice unless a member says why.
func TestRealTermUnderLoad(t *testing.T) {
	cluster := kafkatest.Shared(t)
	t.Parallel()
	times, pause := 6, time.Second
	if long {
		times = 29
	}
	h := newHerd(t, cluster, "fair", 6, 1000, uint64(time.Now().UnixNano()))
	live := []*process{h.start(), h.start(), h.start()}
	poured := h.pour(times*3000, 3000)
	slowest := time.Duration(0)
	for i := range times {
		time.Sleep(pause)
		slowest = max(slowest, h.term(live[i%3]))
		live[i%3] = h.start()
	}
	poured()
	h.finish(time.Minute)
	for _, m := range live {
		slowest = max(slowest, h.term(m))
	}
	sum := h.complete(h.excused())
	t.Logf("%d SIGTERM, %d records: %d lost, %d twice, the slowest drain %v, longest gap %v", times+3, h.total, sum.lost, sum.again, slowest.Round(time.Millisecond), sum.gap.Round(time.Millisecond))
	if slowest > 30*time.Second {
		t.Errorf("a drain took %v", slowest)
	}
}

// TestRealTermAtStart drains members of each shape while they start, connect or join: they end
// in order, and nothing that they had taken is lost.
func TestRealTermAtStart(t *testing.T) {
	cluster := kafkatest.Shared(t)
	t.Parallel()
	for _, shape := range []string{"fair", "chunks", "pipeline", "workers"} {
		h := newHerd(t, cluster, shape, 3, 50, uint64(time.Now().UnixNano()))
		h.write(500)
		for i := range 10 {
			m := h.start()
			time.Sleep(time.Duration(i) * 20 * time.Millisecond)
			h.term(m)
		}
		last := h.start()
		h.finish(time.Minute)
		h.term(last)
		h.complete(h.excused())
	}
}

// TestRealSuspended stops a member's process where it is, for longer than its session: the
// other one takes over, and when the first goes on nothing is lost and its late receipts
// commit nothing.
func TestRealSuspended(t *testing.T) {
	cluster := kafkatest.Shared(t)
	t.Parallel()
	h := newHerd(t, cluster, "fair", 4, 500, uint64(time.Now().UnixNano()))
	first, second := h.start(), h.start()
	length := 8 * time.Second
	if long {
		length = time.Minute
	}
	poured := h.pour(int(length.Seconds())*1500, 1000)
	time.Sleep(2 * time.Second)
	_ = first.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(length)
	_ = first.cmd.Process.Signal(syscall.SIGCONT)
	poured()
	h.finish(time.Minute)
	h.term(first)
	h.term(second)
	sum := h.complete(4 * 10_000)
	t.Logf("stopped for %v, %d records: %d lost, %d twice, longest gap %v", length, h.total, sum.lost, sum.again, sum.gap.Round(time.Millisecond))
}

// TestRealBrokerRestarts stops the only broker in order and starts it, and then the same with
// SIGKILL: members wait without using a processor, and go on when it is back.
func TestRealBrokerRestarts(t *testing.T) {
	kafkatest.Shared(t)
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Config{})
	h := newHerd(t, cluster, "workers", 4, 500, uint64(time.Now().UnixNano()))
	h.job.Session = 10 * time.Second // longer than the broker needs
	members := []*process{h.start(), h.start()}
	h.write(5000)
	h.finish(time.Minute)
	down := 5 * time.Second
	if long {
		down = 30 * time.Second
	}
	for _, end := range []struct {
		name string
		call func(int)
	}{{"stop", cluster.Stop}, {"kill -9", cluster.Kill}} {
		h.write(2000) // in the midst of work
		end.call(1)
		time.Sleep(time.Second)
		used := usage(down, members...)
		cluster.Up(1)
		ready := time.Now()
		clock := newBrokerClock(t, cluster)
		h.write(5000)
		h.finish(time.Minute)
		back := max(0, h.last().Sub(ready)-clock.stands())
		t.Logf("%s for %v: members are up to date %v after it is ready, CPU of each meanwhile %.1f %%", end.name, down, back.Round(time.Millisecond), 100*used)
		if used > idle || back > 2*recovery {
			t.Errorf("%s: %.1f %% CPU, %v until all was handled", end.name, 100*used, back)
		}
	}
	for _, m := range members {
		h.term(m)
	}
	sum := h.complete(2 * 4 * 10_000)
	t.Logf("%d records: %d lost, %d twice", h.total, sum.lost, sum.again)
}

// TestRealThreeBrokers kills each of three brokers in turn under load.
func TestRealThreeBrokers(t *testing.T) {
	kafkatest.Shared(t)
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Config{Brokers: 3})
	h := newHerd(t, cluster, "workers", 6, 500, uint64(time.Now().UnixNano()))
	h.job.Session = 10 * time.Second
	members := []*process{h.start(), h.start()}
	h.write(1000)
	h.finish(time.Minute)
	poured := h.pour(10_000, 500)
	for id := range 3 {
		cluster.Kill(id + 1)
		time.Sleep(2 * time.Second)
		cluster.Up(id + 1)
		time.Sleep(2 * time.Second)
	}
	poured()
	h.finish(time.Minute)
	for _, m := range members {
		h.term(m)
	}
	sum := h.complete(3 * 6 * 10_000)
	t.Logf("%d records: %d lost, %d twice, longest gap %v", h.total, sum.lost, sum.again, sum.gap.Round(time.Millisecond))
}

// TestRealConnectionsCut resets all connections of a member 50 times while it works.
func TestRealConnectionsCut(t *testing.T) {
	w := realWorld(t, 3)
	cfg := w.config()
	cfg.CommitInterval = 100 * time.Millisecond
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{MaxDemand: 100})
	clock, slowest := w.clock(), time.Duration(0)
	for range 50 {
		w.produce(30, 0, 1, 2)
		m.cable.cut()
		m.cable.mend()
		healed := clock()
		w.waitAll()
		slowest = max(slowest, clock()-healed)
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	}
	m.leave()
	repeated := w.check()
	t.Logf("50 cuts, %d records: %d handled twice, the slowest recovery %v", len(w.produced), repeated, slowest.Round(time.Millisecond))
	if slowest > 2*recovery {
		t.Errorf("recovery took %v", slowest)
	}
}

// TestRealNetworkHolds drops all packets of a member's connections for longer than its
// session, without closing one.
func TestRealNetworkHolds(t *testing.T) {
	w := realWorld(t, 3)
	w.proxy = &kafkatest.Proxy{}
	cfg := w.config()
	cfg.Options = append(cfg.Options, kgo.SessionTimeout(3*time.Second))
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{MaxDemand: 100})
	w.produceDirectly(300, 0, 1, 2)
	w.waitAll()
	w.proxy.Hold()
	w.produceDirectly(300, 0, 1, 2)
	time.Sleep(5 * time.Second)
	w.mu.Lock()
	passed := len(w.handled)
	w.mu.Unlock()
	if passed != 900 || w.proxy.Dials() == 0 {
		t.Errorf("%d records were handled before the network came back", passed)
	}
	clock := w.clock()
	w.proxy.Release()
	healed := clock()
	w.produceDirectly(100, 0, 1, 2)
	w.waitAll()
	w.wait("the last commit", func() bool { return w.commits["0"] == 700 && w.commits["1"] == 700 && w.commits["2"] == 700 })
	back := clock() - healed
	m.leave()
	t.Logf("held for 5 s, session 3 s: up to date %v after it, %d handled twice", back.Round(time.Millisecond), w.check())
	if back > 2*recovery {
		t.Errorf("recovery took %v", back)
	}
}

// TestRealServiceIsDown has the service behind a pipeline refuse everything for 30 s: with a
// retry policy nothing is lost, the order of each user is kept, and waiting costs nothing.
func TestRealServiceIsDown(t *testing.T) {
	cluster := kafkatest.Shared(t)
	t.Parallel()
	h := newHerd(t, cluster, "workers", 4, 100, uint64(time.Now().UnixNano()))
	h.job.Down = filepath.Join(h.dir, "down")
	m := h.start()
	h.write(2000)
	h.finish(time.Minute)
	if err := os.WriteFile(h.job.Down, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.write(24_000)
	time.Sleep(2 * time.Second) // until it has read what it may
	down := 28 * time.Second
	used := usage(down, m)
	if err := os.Remove(h.job.Down); err != nil {
		t.Fatal(err)
	}
	up := time.Now()
	h.finish(time.Minute)
	back := h.last().Sub(up)
	h.term(m)
	sum := h.complete(h.excused())
	t.Logf("down for 30 s, %d records: %d lost, %d twice, %d out of order, CPU meanwhile %.1f %%, all handled %v after it", h.total, sum.lost, sum.again, sum.disorder, 100*used, back.Round(time.Millisecond))
	if used > idle {
		t.Errorf("%.1f %% CPU", 100*used)
	}
}
