//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// The work of the suite. Flat out is measured several times, of which the
// median counts.
const (
	manyConns    = 19_000
	flatRuns     = 3
	roomRounds   = 600
	roomRate     = 10
	roomSeconds  = 6
	usersRounds  = 60
	usersRate    = 20_000
	usersSeconds = 5
	echoRate     = 10_000
	echoSeconds  = 5
)

// suite makes all measurements, each with a fresh server, and prints the table. A part that
// fails costs only its own rows; its error is returned after the table has been printed.
func suite(ctx context.Context, o options, out io.Writer) error {
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "load")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		progress("building the server")
		if o.binary, err = buildServer(ctx, dir); err != nil {
			return err
		}
	}
	var t table
	var failures []error
	for _, part := range []struct {
		name, topic, path string
		conns, sparse     int
		args              []string // of the server
		run               func(ctx context.Context, b *bench, i idle, t *table) error
	}{
		{"idle", usersTopic, o.path, min(manyConns, openFiles()-100), 0, nil, suiteIdle},
		{"idle in event loops", usersTopic, o.path, min(manyConns, openFiles()-100), 0, inLoops, suiteIdleInLoops},
		{"fewer idle in event loops", usersTopic, o.path, o.conns, 0, inLoops, suiteIdleInLoops},
		{"pushes to each user", usersTopic, o.path, o.conns, 0, nil, suiteUsers},
		{"a room", roomTopic, o.path, o.conns, 0, nil, suiteRoom},
		{"stalled readers", roomTopic, limitedPath, o.conns, oneIn, nil, suiteStalled},
		{"reconnect", roomTopic, o.path, o.conns, 0, nil, suiteReconnect},
	} {
		progress("-- %s", part.name)
		with := o
		with.conns, with.path, with.mode = part.conns, part.path, part.name
		err := withServer(ctx, with, part.topic, part.sparse, part.args, func(b *bench, i idle) error { return part.run(ctx, b, i, &t) })
		if err != nil {
			progress("%s: %v", part.name, err)
			failures = append(failures, fmt.Errorf("%s: %w", part.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // "" if it cannot be read
	_, err := fmt.Fprintf(out, "%s; Linux %s; server and clients share the processors.\n\n%s",
		report.ThisMachine(context.WithoutCancel(ctx)), strings.TrimSpace(string(kernel)), t.String())
	return errors.Join(append(failures, err)...)
}

// withServer starts a server, connects to it, and ends both.
func withServer(ctx context.Context, o options, topic string, sparse int, args []string, do func(b *bench, i idle) error) (err error) {
	s, err := startServer(ctx, o.binary, o.server, args...)
	if err != nil {
		return err
	}
	defer s.stop()
	b, i, err := connect(ctx, o, s, topic, sparse)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(context.WithoutCancel(ctx))) }()
	return do(b, i)
}

func suiteIdle(_ context.Context, b *bench, i idle, t *table) error {
	t.idle(i)
	return b.fleet.Failure()
}

// inLoops are the arguments of a server whose connections are in event loops.
var inLoops = []string{"-event-loop"}

func suiteIdleInLoops(_ context.Context, b *bench, i idle, t *table) error {
	t.add(fmt.Sprintf("idle connection, event loop, %d of them: resident", i.conns), "<= 1.2 KB given back",
		fmt.Sprintf("%.1f KB; %.1f KB", i.released/1000, i.asIs/1000), i.released <= 1200)
	return b.fleet.Failure()
}

func (t *table) idle(i idle) {
	t.add(fmt.Sprintf("idle connection that has joined, %d of them: resident", i.conns), "<= 2.5 KB; 4 KB before unused memory is given back",
		fmt.Sprintf("%.1f KB; %.1f KB", i.released/1000, i.asIs/1000), i.released <= 2500 && i.asIs <= 4000)
}

func suiteUsers(ctx context.Context, b *bench, i idle, t *table) error {
	t.idle(i)
	d, err := median(func() (delivered, error) { return b.users(ctx, usersRounds, 0) })
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("a push to each of %d users, %d times, flat out", b.o.conns, usersRounds), ">= 600 k/s, <= 2.5 us of CPU each",
		fmt.Sprintf("%.0f k/s, %.1f us%s", d.rate()/1e3, us(d.cpuEach()), d.remark()), d.rate() >= 600e3 && d.cpuEach() <= 2500*time.Nanosecond)
	t.add(fmt.Sprintf("a push to each of %d users, flat out: p50, p99", b.o.conns), "p99 <= 30 ms", fmt.Sprintf("%.0f, %.0f ms", ms(d.Quantile(50)), ms(d.Quantile(99))), d.Quantile(99) <= 30*time.Millisecond)
	if d, err = b.users(ctx, usersRate*usersSeconds/b.o.conns, usersRate); err != nil {
		return err
	}
	t.add(fmt.Sprintf("the same at %d/s: p50, p99, p99.9", usersRate), "<= 0.15, 0.45, 1.5 ms",
		fmt.Sprintf("%.2f, %.2f, %.2f ms%s", ms(d.Quantile(50)), ms(d.Quantile(99)), ms(d.Quantile(99.9)), d.remark()),
		d.Quantile(50) <= 150*time.Microsecond && d.Quantile(99) <= 450*time.Microsecond && d.Quantile(99.9) <= 1500*time.Microsecond && !d.void())
	if d, err = b.echo(ctx, echoRate*echoSeconds/b.o.conns, echoRate); err != nil {
		return err
	}
	t.add(fmt.Sprintf("echoes to %d users in turn, %d/s: p50, p99, p99.9", b.o.conns, echoRate), "p99.9 <= 1 ms",
		fmt.Sprintf("%.2f, %.2f, %.2f ms, %.1f us of CPU each%s", ms(d.Quantile(50)), ms(d.Quantile(99)), ms(d.Quantile(99.9)), us(d.cpuEach()), d.remark()),
		d.Quantile(99.9) <= time.Millisecond && !d.void())
	return nil
}

func suiteRoom(ctx context.Context, b *bench, _ idle, t *table) error {
	d, err := median(func() (delivered, error) { return b.room(ctx, roomRounds, 0) })
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("%d broadcasts to a room of %d, flat out", roomRounds, b.o.conns), ">= 2 M/s, <= 0.7 us of CPU each",
		fmt.Sprintf("%.2f M/s, %.2f us%s", d.rate()/1e6, us(d.cpuEach()), d.remark()), d.rate() >= 2e6 && d.cpuEach() <= 700*time.Nanosecond)
	t.add(fmt.Sprintf("a room of %d, flat out: p50, p99", b.o.conns), "p50 <= 60 ms", fmt.Sprintf("%.0f, %.0f ms", ms(d.Quantile(50)), ms(d.Quantile(99))), d.Quantile(50) <= 60*time.Millisecond)
	if d, err = b.room(ctx, roomRate*roomSeconds, roomRate); err != nil {
		return err
	}
	t.add(fmt.Sprintf("the same room, %d broadcasts a second: p50, p99", roomRate), "<= 32, 60 ms",
		fmt.Sprintf("%.0f, %.0f ms%s", ms(d.Quantile(50)), ms(d.Quantile(99)), d.remark()),
		d.Quantile(50) <= 32*time.Millisecond && d.Quantile(99) <= 60*time.Millisecond && !d.void())
	return nil
}

func suiteStalled(ctx context.Context, b *bench, _ idle, t *table) error {
	s, err := b.stalled(ctx, roomRate*roomSeconds, roomRate)
	if err != nil {
		return err
	}
	ratio := float64(s.with.Quantile(99)) / float64(s.without.Quantile(99))
	who := fmt.Sprintf("%d of %d clients stop reading: ", s.slow, b.o.conns)
	t.add(who+"p99 of the others", "<= 1.1 times that without",
		fmt.Sprintf("%.2f times (%.0f ms, without %.0f ms)%s", ratio, ms(s.with.Quantile(99)), ms(s.without.Quantile(99)), max(s.with.remark(), s.without.remark())), ratio <= 1.1)
	t.add(who+"memory", fmt.Sprintf("<= %d MiB queued", queuedBudget>>20),
		fmt.Sprintf("%.0f MiB queued, %.0f MiB more resident", float64(s.queued)/(1<<20), float64(s.grown)/(1<<20)), s.queued <= queuedBudget)
	t.add(who+"until they are gone", fmt.Sprintf("<= %v, the write deadline and 1 s", writeTimeout+time.Second),
		fmt.Sprintf("%.1f s", s.handled.Seconds()), s.handled <= writeTimeout+time.Second)
	return nil
}

func suiteReconnect(ctx context.Context, b *bench, _ idle, t *table) error {
	took, err := b.reconnect(ctx)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("%d clients lose their connections and join again, all at once", b.o.conns), "<= 3 s",
		fmt.Sprintf("%.2f s", took.Seconds()), took <= 3*time.Second)
	return nil
}

// median makes the same measurement several times and returns the middle one.
func median(measure func() (delivered, error)) (delivered, error) {
	var all []delivered
	for range flatRuns {
		d, err := measure()
		if err != nil {
			return d, err
		}
		progress("%.0f/s, %.2f us of the server's CPU each; other processes had %.0f %% of the machine", d.rate(), us(d.cpuEach()), 100*d.others)
		all = append(all, d)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].rate() < all[j].rate() })
	return all[len(all)/2], nil
}

// void tells that less was made than was asked for: then the latencies are those
// of a smaller load.
func (d delivered) void() bool { return d.made < 0.999*d.offered }

// remark is what must be known to judge a figure.
func (d delivered) remark() (s string) {
	if d.void() {
		s = fmt.Sprintf(" (void: only %.0f/s were made)", d.made)
	}
	if d.others > busy {
		s += fmt.Sprintf(" (other processes had %.0f %% of the machine)", 100*d.others)
	}
	return s
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// table is what the suite prints.
type table struct{ b strings.Builder }

func (t *table) add(what, target, value string, met bool) {
	if t.b.Len() == 0 {
		t.b.WriteString("| what | target | measured | |\n|---|---|---|---|\n")
	}
	verdict := "met"
	if !met {
		verdict = "**missed**"
	}
	line := fmt.Sprintf("| %s | %s | %s | %s |", what, target, value, verdict)
	progress("%s", line)
	t.b.WriteString(line + "\n")
}

func (t *table) String() string { return t.b.String() }
