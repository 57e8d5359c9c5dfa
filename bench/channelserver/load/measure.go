//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/bench/internal/fleet"
)

// bench is one server with the clients connected to it.
type bench struct {
	o      options
	server *server
	fleet  *fleet.Fleet
	pid    int
}

// idle is what connections cost that do nothing.
type idle struct {
	conns      int
	connecting time.Duration
	asIs       float64 // resident bytes for each
	released   float64 // after unused memory was given back
}

// connectPatience is how long no client may join before connecting has failed.
const connectPatience = time.Minute

// newFleet makes a client for each token, but connects none. Of so many clients one is meant to
// stop reading; 0 means none.
func newFleet(o options, topic string, tokens []string, sparse int) (*fleet.Fleet, error) {
	paths := make([]string, len(tokens))
	for i, token := range tokens {
		paths[i] = o.path + "?vsn=2.0.0&token=" + token
	}
	return fleet.New(fleet.Config{Server: o.server, Protocol: fleet.Phoenix(o.bytes), Loops: o.loops, Paths: paths, Topic: topic, Sparse: sparse, Progress: progress})
}

// settle is how long connections are left alone before they count as idle.
const settle = 1500 * time.Millisecond

// connect connects o.conns clients and measures what they cost.
func connect(ctx context.Context, o options, s *server, topic string, sparse int) (*bench, idle, error) {
	none := idle{}
	tokens, err := s.tokens(ctx, o.conns)
	if err != nil {
		return nil, none, err
	}
	st, err := s.stats(ctx, false)
	if err != nil {
		return nil, none, err
	}
	// What the first connection of all brings with it, such as pages of the program, belongs
	// to no connection.
	if err := once(ctx, o, topic, tokens[:1], s); err != nil {
		return nil, none, err
	}
	if _, err := s.stats(ctx, true); err != nil {
		return nil, none, err
	}
	before, err := usageOf(st.PID)
	if err != nil {
		return nil, none, fmt.Errorf("the server must run on this machine: %w", err)
	}
	f, err := newFleet(o, topic, tokens, sparse)
	if err != nil {
		return nil, none, err
	}
	b := &bench{o: o, server: s, fleet: f, pid: st.PID}
	start := time.Now()
	if err := f.Connect(ctx, o.parallel, connectPatience); err != nil {
		f.Stop()
		return nil, none, err
	}
	took := time.Since(start)
	progress("%d clients have joined in %v", o.conns, took.Round(time.Millisecond))
	select {
	case <-time.After(settle):
	case <-ctx.Done():
	}
	asIs, err1 := usageOf(st.PID)
	_, err2 := s.stats(ctx, true)
	released, err3 := usageOf(st.PID)
	if err := errors.Join(err1, err2, err3); err != nil {
		f.Stop()
		return nil, none, err
	}
	each := func(u usage) float64 { return float64(u.resident-before.resident) / float64(o.conns) }
	return b, idle{conns: o.conns, connecting: took, asIs: each(asIs), released: each(released)}, nil
}

// once connects one client and drops it.
func once(ctx context.Context, o options, topic string, tokens []string, s *server) error {
	f, err := newFleet(o, topic, tokens, 0)
	if err != nil {
		return err
	}
	b := &bench{o: o, server: s, fleet: f}
	return errors.Join(f.Connect(ctx, 1, connectPatience), b.close(ctx))
}

// close drops the clients and waits until the server knows.
func (b *bench) close(ctx context.Context) error {
	b.fleet.Stop()
	return b.until(ctx, 10*time.Second, func(st stats) bool { return st.Connections == 0 })
}

// until asks for the server's figures until they are as wanted.
func (b *bench) until(ctx context.Context, patience time.Duration, wanted func(stats) bool) error {
	for end := time.Now().Add(patience); ; {
		st, err := b.server.stats(ctx, false)
		if err != nil || wanted(st) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server still has %d connections and %d frames queued after %v", st.Connections, st.QueuedFrames, patience)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// busy is the share of the machine that other processes may have while a
// measurement is made, without a remark.
const busy = 0.05

// calm waits, up to a bound, until other processes leave the machine alone.
func (b *bench) calm(ctx context.Context) error {
	for range 30 {
		before, err := usageOf(b.pid)
		if err != nil {
			return err
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err := usageOf(b.pid)
		if err != nil || after.othersSince(before) < busy {
			return err
		}
	}
	return nil
}

// delivered is what one load has brought.
type delivered struct {
	*fleet.Tally
	took    time.Duration // from before the request to the last arrival
	cpu     time.Duration // of the server
	making  time.Duration // what the server needed to push or broadcast it all
	offered float64       // pushes or broadcasts a second that were asked for; 0: flat out
	made    float64       // those that were made
	others  float64       // share of the processors that other processes had
}

func (d delivered) rate() float64 { return float64(d.Deliveries) / d.took.Seconds() }

// cpuEach is the server's CPU time for one delivery.
func (d delivered) cpuEach() time.Duration {
	return time.Duration(float64(d.cpu) / float64(max(d.Deliveries, 1)))
}

// answer is the response to a request that makes load.
type answer struct {
	posted
	err error
}

// load makes the server push, and waits until all of it has come.
func (b *bench) load(ctx context.Context, path string, expected int64, rate int) (delivered, error) {
	return b.measure(ctx, expected, rate, func(ctx context.Context) (posted, error) { return b.server.post(ctx, path) })
}

// measure calls send, which returns when all has been sent, and waits until all of it has
// come.
func (b *bench) measure(ctx context.Context, expected int64, rate int, send func(ctx context.Context) (posted, error)) (delivered, error) {
	if b.o.suite {
		if err := b.calm(ctx); err != nil {
			return delivered{}, err
		}
	}
	b.fleet.Reset()
	d := delivered{offered: float64(rate)}
	before, err := usageOf(b.pid)
	if err != nil {
		return d, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, 1)
	start := time.Now()
	go func() {
		p, err := send(ctx)
		answers <- answer{p, err}
	}()
	if err := b.fleet.Wait(ctx, b.o.quiet, "deliveries", expected, b.fleet.Received); err != nil {
		var refused error
		select {
		case a := <-answers:
			refused = a.err
		default:
			cancel()
			<-answers
		}
		return d, errors.Join(refused, err, b.fleet.Failure(), b.fleet.Total().Check(expected))
	}
	a := <-answers
	if a.err != nil {
		return d, a.err
	}
	after, err := usageOf(b.pid)
	if err != nil {
		return d, err
	}
	d.Tally = b.fleet.Total()
	d.took = time.Unix(0, d.Last).Sub(start)
	d.cpu, d.others = after.cpu-before.cpu, after.othersSince(before)
	d.making = time.Duration(a.Micros) * time.Microsecond
	d.made = float64(a.Count) / d.making.Seconds()
	return d, errors.Join(b.fleet.Failure(), d.Check(expected))
}

// room broadcasts to all.
func (b *bench) room(ctx context.Context, rounds, rate int) (delivered, error) {
	path := fmt.Sprintf("/broadcast?topic=%s&count=%d&rate=%d&bytes=%d", roomTopic, rounds, rate, b.o.bytes)
	return b.load(ctx, path, int64(rounds)*int64(b.o.conns-b.fleet.Slow()), rate)
}

// users pushes to each client in turn, so many times.
func (b *bench) users(ctx context.Context, rounds, rate int) (delivered, error) {
	path := fmt.Sprintf("/push?prefix=%s&users=%d&rounds=%d&rate=%d&bytes=%d&workers=%d", usersTopic, b.o.conns, rounds, rate, b.o.bytes, b.o.workers)
	return b.load(ctx, path, int64(rounds)*int64(b.o.conns), rate)
}

// pipeline is users through the stages.
func (b *bench) pipeline(ctx context.Context, rounds int) (delivered, error) {
	path := fmt.Sprintf("/pipeline?prefix=%s&users=%d&rounds=%d&bytes=%d&consumers=%d", usersTopic, b.o.conns, rounds, b.o.bytes, b.o.workers)
	return b.load(ctx, path, int64(rounds)*int64(b.o.conns), 0)
}
