package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// limitP99 is how late the slowest of a hundred pushes may reach its client.
const limitP99 = 50 * time.Millisecond

// The lengths of one try of BenchmarkPushLimits: at the rate before anything is counted,
// and counted.
const (
	limitWarmup = 300 * time.Millisecond
	limitWindow = time.Second
)

// BenchmarkPushLimits finds the highest rate at which pushes of the load generator reach
// their clients within limitP99, from when each was due until its client has read it:
//
//	go test ./examples/pushpipeline -run '^$' -bench PushLimits -benchtime 1x
//
// The clients are in a process of their own, and all users but one have the same share of
// the pushes. CPU and allocations are those of the program with the load generator; the
// clients' CPU is apart. With PUSHPIPELINE_LIMIT_RATE=50000 it stays at that rate, for
// profiles and for two builds by turns.
func BenchmarkPushLimits(b *testing.B) {
	for _, source := range []struct {
		name  string
		first float64 // the rate of the first try
	}{{"memory", 80e3}, {"kafka", 40e3}} {
		for _, clients := range []int{200, 5000} {
			b.Run(fmt.Sprintf("%s/clients=%d", source.name, clients), func(b *testing.B) {
				// Batches that are overwritten after use find errors and cost time.
				stage.PoisonBatches(false)
				defer stage.PoisonBatches(true)
				for b.Loop() {
					best := searchLimit(b, source.name, clients, source.first)
					b.ReportMetric(best.rate, "pushes/s")
					b.ReportMetric(best.cpu.Seconds()*1e6/float64(best.pushes), "us/push")
					b.ReportMetric(float64(best.allocs)/float64(best.pushes), "allocs/push")
					b.ReportMetric(float64(best.bytes)/float64(best.pushes), "B/push")
					b.ReportMetric(best.read.P99*1e3, "p99-ms")
					b.ReportMetric(best.read.CPU*1e6/float64(best.read.Count), "client-us/push")
					b.ReportMetric(float64(best.collections)/limitWindow.Seconds(), "GC/s")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// attempt is what was measured at one rate.
type attempt struct {
	rate        float64
	pushes      int64 // delivered
	refused     int64
	cpu         time.Duration
	allocs      uint64
	bytes       uint64
	collections uint32
	read        reading
}

// met reports whether the clients have had what was due, in time.
func (a attempt) met() bool {
	return a.refused == 0 && a.read.P99 <= limitP99.Seconds() &&
		float64(a.read.Count) >= 0.98*a.rate*limitWindow.Seconds()
}

// searchLimit returns the attempt at the highest rate that was met: it goes up in steps of
// a quarter, and then halves the last step twice. A rate has two attempts.
func searchLimit(b *testing.B, source string, clients int, rate float64) (best attempt) {
	p := startLimits(b, source, clients)
	defer p.end(b)
	if s := os.Getenv("PUSHPIPELINE_LIMIT_RATE"); s != "" {
		rate, err := strconv.ParseFloat(s, 64)
		if err != nil {
			b.Fatal(err)
		}
		for range 4 {
			best = p.try(b, rate)
			b.Logf("%+v", best)
		}
		return best
	}
	met := func(rate float64) bool {
		for range 2 {
			if a := p.try(b, rate); a.met() {
				best = a
				return true
			} else if testing.Verbose() {
				b.Logf("not met: %+v", a)
			}
		}
		return false
	}
	low := 0.0
	for met(rate) {
		low, rate = rate, rate*1.25
	}
	if low == 0 { // the first rate was too high
		for low = rate / 1.25; !met(low); low /= 1.25 {
			if low < 1000 {
				b.Fatal("not even 1000 pushes a second")
			}
		}
		rate = low * 1.25
	}
	for range 2 {
		if middle := (low + rate) / 2; met(middle) {
			low = middle
		} else {
			rate = middle
		}
	}
	return best
}

// limits is the program inside this process, with clients in another one.
type limits struct {
	*app
	clients int
	stop    context.CancelFunc
	ended   chan error
	reader  *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader

	endGarbage func() // of -gc-floor-mib
}

// startLimits starts the program, and then its clients, who join.
func startLimits(b *testing.B, source string, clients int) *limits {
	var complaint bytes.Buffer
	cfg, err := parseConfig([]string{"-addr", "127.0.0.1:0", "-debug-addr", "off", "-rate", "0", "-clients", "0", "-source", source}, os.Environ(), &complaint, &complaint)
	if err != nil {
		b.Fatalf("%v: %s", err, complaint.String())
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := newApp(cfg, log)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &limits{app: a, clients: clients, stop: stop, ended: make(chan error, 1), endGarbage: allowGarbage(cfg.GCFloorMiB)}
	go func() {
		_, err := a.run(ctx, context.Background(), func(status) {})
		p.ended <- err
	}()
	select {
	case <-a.started:
	case err := <-p.ended:
		b.Fatalf("it ended at once: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	p.reader = exec.Command(self)
	p.reader.Env = append(os.Environ(), childVariable+"=reader")
	p.reader.Stderr = os.Stderr
	if p.in, err = p.reader.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := p.reader.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.reader.Start(); err != nil {
		b.Fatal(err)
	}
	tell := readers{Addr: a.listener.Addr().String(), Name: a.clients.name}
	for i := range clients {
		tok, err := a.tokenFor(strconv.Itoa(i + 1))
		if err != nil {
			b.Fatal(err)
		}
		tell.Protocols = append(tell.Protocols, subprotocols(tok)[1])
	}
	if err := json.NewEncoder(p.in).Encode(tell); err != nil {
		b.Fatal(err)
	}
	p.answer(b, nil)
	return p
}

// answer reads an answer of the clients' process into v.
func (p *limits) answer(b *testing.B, v any) {
	line, err := p.out.ReadBytes('\n')
	if err == nil && v != nil {
		err = json.Unmarshal(line, v)
	}
	if err != nil {
		b.Fatalf("the clients: %v", err)
	}
}

// read returns what the clients have read since the last call.
func (p *limits) read(b *testing.B) (r reading) {
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		b.Fatal(err)
	}
	p.answer(b, &r)
	if r.Wrong > 0 {
		b.Fatalf("%d of %d pushes were another user's, came twice or out of order", r.Wrong, r.Count)
	}
	return r
}

// try measures one rate, and then waits until nothing is under way.
func (p *limits) try(b *testing.B, rate float64) (a attempt) {
	a.rate = rate
	loading, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		(&load{users: p.clients, rate: rate, enter: p.intake.enter}).run(loading, time.Now())
	}()
	pass(limitWarmup)
	p.read(b)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, delivered, refused := processorTime(), p.ledger.delivered.Load(), p.ledger.refused.Load()
	pass(limitWindow)
	a.cpu, a.pushes, a.refused = processorTime()-cpu, p.ledger.delivered.Load()-delivered, p.ledger.refused.Load()-refused
	runtime.ReadMemStats(&after)
	a.allocs, a.bytes, a.collections = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc, after.NumGC-before.NumGC
	a.read = p.read(b)
	stop()
	<-over
	for begin := time.Now(); p.ledger.delivered.Load()+sum(p.ledger.discards()) < p.ledger.accepted.Load(); pass(20 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			b.Fatal("what was taken in is not delivered")
		}
	}
	return a
}

// pass waits.
func pass(d time.Duration) { <-time.After(d) }

// end ends the clients and the program.
func (p *limits) end(b *testing.B) {
	defer p.endGarbage()
	p.stop()
	if err := <-p.ended; err != nil {
		b.Errorf("the program: %v", err)
	}
	_ = p.in.Close()
	if err := p.reader.Wait(); err != nil {
		b.Errorf("the clients: %v", err)
	}
}

// readers is what the process of the clients is told first.
type readers struct {
	Addr, Name string
	Protocols  []string // with the token of each user
}

// reading is what the clients have read in some time.
type reading struct {
	Count int64
	P99   float64 // seconds from when a push was due
	CPU   float64 // seconds
	Wrong int64   // of another user, twice or out of order
}
