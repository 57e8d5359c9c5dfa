//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock-go/penstock/bench/internal/fleet"
)

// work is one kind of measurement.
type work struct {
	name, what string
	topic      string
	columns    []string // of the figures
	ratio      int      // the column of which the table has the ratio to the first peer
	run        func(ctx context.Context, b *bench) ([]float64, error)
}

// The size of the works; the number of messages follows from that of the clients.
const (
	roomCount  = 600
	userRounds = 60
	pacedEach  = 12 // messages to each client: three seconds with 5,000 clients
	pacedRate  = 20_000
	echoEach   = 6
	echoRate   = 10_000
)

// patience is how long a work waits when nothing comes.
const patience = 5 * time.Second

// settle is how long connections are left alone before they count as idle.
var settle = 1500 * time.Millisecond

var rateColumns = []string{"M/s", "server us", "client us", "p50 ms", "p99 ms"}
var latencyColumns = []string{"server us", "client us", "p50 ms", "p99 ms", "p99.9 ms", ofRate}

// ofRate is the column of a work at a rate: how much of it was made, in percent. Below
// leastOfRate the run is void: the latencies are those of a smaller load.
const (
	ofRate      = "% of rate"
	leastOfRate = 99.9
)

var works = []work{
	{"room", fmt.Sprintf("%d messages to a room of all clients, flat out", roomCount), roomTopic, rateColumns, 0,
		func(ctx context.Context, b *bench) ([]float64, error) {
			return b.flatOut(ctx, fmt.Sprintf("room %d", roomCount), roomCount)
		}},
	{"users", fmt.Sprintf("%d messages to each client's own topic, flat out", userRounds), usersTopic, rateColumns, 0,
		func(ctx context.Context, b *bench) ([]float64, error) {
			return b.flatOut(ctx, fmt.Sprintf("users %d %d 0", b.conns, userRounds), userRounds)
		}},
	{"paced", fmt.Sprintf("messages to each client's own topic, %d a second", pacedRate), usersTopic, latencyColumns, 3,
		func(ctx context.Context, b *bench) ([]float64, error) {
			d, err := b.load(ctx, pacedEach, func() (reply, error) {
				return b.child.call(fmt.Sprintf("users %d %d %d", b.conns, pacedEach, pacedRate))
			})
			return d.latencies(pacedRate, d.made), err
		}},
	{"echo", fmt.Sprintf("each client in turn sends a message and gets it back, %d a second", echoRate), usersTopic, latencyColumns, 3,
		func(ctx context.Context, b *bench) ([]float64, error) {
			d, err := b.load(ctx, echoEach, func() (reply, error) {
				b.fleet.Echo(echoEach, echoRate)
				return reply{}, nil
			})
			return d.latencies(echoRate, b.fleet.SentIn()), err
		}},
	{"idle", "resident memory for each connection that has joined its own topic", usersTopic, []string{"KB as it is", "KB given back"}, 1,
		func(ctx context.Context, b *bench) ([]float64, error) { return b.idle(ctx) }},
}

func workName(w work) string { return w.name }

// bench is a server with the clients connected to it.
type bench struct {
	conns  int
	child  *child
	fleet  *fleet.Fleet
	before int64 // resident memory of the server after a first client, before all others came
}

// measure starts a server, connects clients, does a work once, and ends both.
func measure(ctx context.Context, p peer, w work, conns int) (figures []float64, err error) {
	c, err := startChild(ctx, p)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	b := &bench{conns: conns, child: c}
	if err := first(ctx, c, p); err != nil {
		return nil, err
	}
	if b.before, err = c.resident(); err != nil {
		return nil, err
	}
	if b.fleet, err = newFleet(c, p, w.topic, conns); err != nil {
		return nil, err
	}
	defer b.fleet.Stop()
	if err := b.fleet.Connect(ctx, parallel, connectPatience); err != nil {
		return nil, err
	}
	return w.run(ctx, b)
}

// parallel is how many clients connect at a time.
const parallel = 128

// connectPatience is how long no client may join before connecting has failed.
const connectPatience = 20 * time.Second

// newFleet makes the clients of a server, but connects none.
func newFleet(c *child, p peer, topic string, conns int) (*fleet.Fleet, error) {
	paths := slices.Repeat([]string{p.protocol.path}, conns)
	return fleet.New(fleet.Config{Server: c.addr, Protocol: p.protocol.Protocol, Paths: paths, Topic: topic})
}

// first connects one client and ends it, so that what a server allocates once is not the
// cost of a connection.
func first(ctx context.Context, c *child, p peer) error {
	f, err := newFleet(c, p, "room:first", 1)
	if err != nil {
		return err
	}
	err = f.Connect(ctx, 1, connectPatience)
	f.Stop()
	_, gc := c.call("gc")
	return errors.Join(err, gc)
}

// delivery is what one load has brought.
type delivery struct {
	*fleet.Tally
	took           time.Duration // from before the command to the last arrival
	made           time.Duration // how long the server published
	server, client time.Duration // of the processors
}

func (d delivery) each(cpu time.Duration) float64 { return us(cpu) / float64(max(1, d.Deliveries)) }

// latencies are the figures of a load at a rate a second that was made in some time.
func (d delivery) latencies(rate int, made time.Duration) []float64 {
	if d.Tally == nil {
		return nil
	}
	share := 100 * float64(d.Deliveries) / float64(rate) / max(made.Seconds(), 1e-9)
	return []float64{d.each(d.server), d.each(d.client), ms(d.Quantile(50)), ms(d.Quantile(99)), ms(d.Quantile(99.9)), min(100, share)}
}

// load makes messages by a call of begin and waits until all have come, each for every
// client.
func (b *bench) load(ctx context.Context, each int, begin func() (reply, error)) (d delivery, err error) {
	before, err := b.child.call("usage")
	if err != nil {
		return d, err
	}
	mine, start := cpuTime(), time.Now()
	type made struct {
		in  time.Duration
		err error
	}
	begun := make(chan made, 1)
	go func() {
		r, err := begin()
		begun <- made{time.Duration(r.Micros) * time.Microsecond, err}
	}()
	expected := int64(each) * int64(b.conns)
	if err := b.fleet.Wait(ctx, patience, "deliveries", expected, b.fleet.Received); err != nil {
		return d, errors.Join(err, b.fleet.Failure())
	}
	m := <-begun
	if d.made = m.in; m.err != nil {
		return d, m.err
	}
	d.client = cpuTime() - mine
	after, err := b.child.call("usage")
	if err != nil {
		return d, err
	}
	d.server = time.Duration(after.CPU-before.CPU) * time.Microsecond
	d.Tally = b.fleet.Total()
	d.took = time.Unix(0, d.Last).Sub(start)
	return d, errors.Join(b.fleet.Failure(), d.Check(expected))
}

func (b *bench) flatOut(ctx context.Context, command string, each int) ([]float64, error) {
	d, err := b.load(ctx, each, func() (reply, error) { return b.child.call(command) })
	if err != nil {
		return nil, err
	}
	return []float64{float64(d.Deliveries) / d.took.Seconds() / 1e6, d.each(d.server), d.each(d.client), ms(d.Quantile(50)), ms(d.Quantile(99))}, nil
}

// idle measures what the connections cost once they have come to rest.
func (b *bench) idle(ctx context.Context) ([]float64, error) {
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	asIs, err1 := b.child.resident()
	_, err2 := b.child.call("gc")
	given, err3 := b.child.resident()
	each := func(n int64) float64 { return float64(n-b.before) / float64(b.conns) / 1000 }
	return []float64{each(asIs), each(given)}, errors.Join(err1, err2, err3, b.fleet.Failure())
}

// medians returns the middle of each figure over several runs.
func medians(runs [][]float64) []float64 {
	if len(runs) == 0 {
		return nil
	}
	m := make([]float64, len(runs[0]))
	for i := range m {
		var all []float64
		for _, r := range runs {
			all = append(all, r[i])
		}
		slices.Sort(all)
		m[i] = all[len(all)/2]
	}
	return m
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
