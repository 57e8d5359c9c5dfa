package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// fairnessDefaults are the options that -fairness sets unless they are given:
// eight workers with 5 ms for a push get through 1,600 a second, 100 users make
// 200 a second, and the flood ten and a hundred times that.
var fairnessDefaults = []string{"-users=101", "-rate=200", "-workers=8", "-work=5ms", "-duration=5s", "-addr=127.0.0.1:0", "-overflow=drop"}

// floods are the rates of user 1 as multiples of the rate of all other users. The
// others are compared with the first.
var floods = []float64{0, 10, 100}

const (
	fairnessWarmup = time.Second            // under the flood, before anything is counted; not longer than a run
	fairnessSettle = 500 * time.Millisecond // for the last ones to arrive
	fairnessAim    = 1.5                    // victims' p99 under flood over theirs without
	fairnessKept   = 0.999                  // of the schedule, or the run is void
)

// fairnessConfig sets the defaults of -fairness.
func fairnessConfig(fs *flag.FlagSet) error {
	// Visit passes only the flags that were set, also those from the environment.
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, option := range fairnessDefaults {
		name, value, _ := strings.Cut(strings.TrimPrefix(option, "-"), "=")
		if !given[name] {
			if err := fs.Set(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateFairness refuses options that do not go with -fairness.
func (c config) validateFairness() error {
	switch {
	case c.Users < 2:
		return fmt.Errorf("-users %d is not allowed with -fairness: one floods, so that it takes 2 or more", c.Users)
	case c.Rate <= 0:
		return fmt.Errorf("-rate %v is not allowed with -fairness: more than 0", c.Rate)
	case c.Duration <= 0:
		return fmt.Errorf("-duration %s is not allowed with -fairness: more than 0", c.Duration)
	case c.Clients != c.Users:
		return errors.New("-clients does not go with -fairness: every user has one")
	case c.Brokers != "":
		return errors.New("-brokers does not go with -fairness: every run has a broker of its own")
	}
	return nil
}

// finding is one run and what it is compared with.
type finding struct {
	// The name of the dispatcher, as in the table.
	rival string
	// The rate of user 1 as a multiple of that of all others; 0 is without a flood.
	flood float64
	calm  verdict // the same dispatcher's without a flood
	verdict
	// Pushes that came after a later one, of all users.
	disorder int64
}

// ratio is how many times as long the victims' q-quantile is as without a flood.
func (f finding) ratio(q float64) float64 {
	return float64(f.quantile(q)) / float64(f.calm.quantile(q))
}

// void reports whether too little of the load was made for the run to count.
func (f finding) void() bool { return f.Offered < fairnessKept }

// compare is the program under -fairness.
func compare(ctx context.Context, cfg config, log *slog.Logger, stdout, stderr io.Writer) (err error) {
	log = quiet(log)
	var svg *os.File
	if cfg.SVG != "" {
		// Opened before minutes of measuring, and emptied only after them.
		if svg, err = os.OpenFile(cfg.SVG, os.O_WRONLY|os.O_CREATE, 0o644); err != nil {
			return fmt.Errorf("-svg: %w", err)
		}
		defer func() { err = errors.Join(err, svg.Close()) }()
	}
	first := cfg // not counted: the first run pays for what all others find ready
	first.Duration = min(cfg.Duration, time.Second)
	if _, err := measure(ctx, first, 0, log, func(status) {}); err != nil {
		return err
	}
	// In the order of the table: by rival, then by flood.
	var all []finding
	for _, r := range rivals {
		var calm verdict
		// The run without a flood is the first of each dispatcher.
		for i, flood := range floods {
			title := fmt.Sprintf("[%2d/%d] %s, flood %gx", len(all)+1, len(rivals)*len(floods), r.name, flood)
			cfg.rival = r.make
			f, err := measure(ctx, cfg, flood, log, newProgress(forPeople(stderr), stderr, log, title))
			if err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
			if i == 0 {
				calm = f.verdict
			}
			f.rival, f.calm = r.name, calm
			all = append(all, f)
		}
	}
	if svg != nil {
		if err := writePicture(svg, cfg, all); err != nil {
			return err
		}
	}
	if cfg.JSON {
		return printFindingsJSON(stdout, cfg, all)
	}
	return printFindings(stdout, cfg, all)
}

// quiet leaves out what every run would say, unless it was asked for.
func quiet(log *slog.Logger) *slog.Logger {
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

// measure runs the pipeline once, with a flood of that multiple or, for 0, without.
// The loads are made here and not by the app, whose own rate is 0.
func measure(ctx context.Context, cfg config, flood float64, log *slog.Logger, progress func(status)) (finding, error) {
	// In pushes a second.
	victims, heavy := cfg.Rate, cfg.Rate*flood
	window, warm := cfg.Duration, warmup(cfg)
	cfg.Rate, cfg.Duration, cfg.DebugAddr, cfg.Drain = 0, 0, "off", fairnessSettle
	runtime.GC() // what the run before has left
	// A program of its own for each run, so that runs share nothing.
	a, err := newApp(cfg, log)
	if err != nil {
		return finding{}, err
	}
	watch := newObserver()
	// Before run, which dials the clients.
	a.clients.arrived = watch.arrived

	serving, end := context.WithCancel(ctx)
	defer end()
	// What run has returned.
	type ending struct {
		sum summary
		err error
	}
	ended := make(chan ending, 1)
	go func() {
		sum, err := a.run(serving, context.Background(), progress)
		ended <- ending{sum, err}
	}()
	select {
	case <-a.started:
	// It has ended before it began.
	case e := <-ended:
		return finding{}, errors.Join(e.err, ctx.Err())
	}
	begin := time.Now()
	// The window opens after the warm-up, so that the flood has its backlog by then.
	over := watch.open(begin.Add(warm), window)
	// Noted before it enters: a push can arrive before enter returns.
	enter := func(pushes []push, done func(error)) error {
		watch.made(pushes[0].User, pushes[0].At)
		return a.intake.enter(pushes, done)
	}
	// The load goes on while the last pushes of the window arrive, so that they
	// arrive under the same conditions.
	loading, stop := context.WithDeadline(ctx, over.Add(fairnessSettle))
	defer stop()
	var loads sync.WaitGroup
	loads.Go(func() { (&load{users: cfg.Users, rate: victims, enter: enter}).run(loading, begin) })
	// The flood has a generator of its own, so that it cannot delay the
	// victims' schedule.
	loads.Go(func() { (&load{users: 1, rate: heavy, enter: enter}).run(loading, begin) })
	// Both end with loading, which has the deadline.
	loads.Wait()
	// The verdict comes before the end, which discards the flood's backlog.
	f := finding{flood: flood, verdict: watch.end((victims + heavy) * window.Seconds())}
	end()
	// Every goroutine of this run has ended here, before the next run begins.
	e := <-ended
	// Counted by the clients over the whole run, warm-up included.
	f.disorder = e.sum.OutOfOrder
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	if e.err != nil && !errors.Is(e.err, stage.ErrDrainTimeout) && !errors.Is(e.err, context.DeadlineExceeded) {
		return f, e.err // a backlog that is not drained is no failure here
	}
	return f, nil
}

// warmup is how long a run goes on before anything is counted.
func warmup(cfg config) time.Duration { return min(fairnessWarmup, cfg.Duration) }

// writePicture writes the ratios as bars.
func writePicture(file *os.File, cfg config, all []finding) error {
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("-svg: %w", err)
	}
	_, err := picture(cfg, all).WriteTo(file)
	return err
}
