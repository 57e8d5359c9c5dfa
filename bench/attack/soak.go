//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// comers are the users that come, stay for a while and go; each time under a
	// new name.
	comers = 100
	// stay is how long one of them stays on average.
	stay = 5 * time.Second
	// comerPushes are pushed to each of them while it is there and after it has
	// gone.
	comerPushes = 5
)

// growth bounds how much the resident memory of the last quarter of a soak may
// exceed that of the second: the first one fills what is bounded.
const growth = 1.10

// soak runs the program for a long time with users that come and go, and prints a
// line a minute.
func soak(ctx context.Context, how launch, length time.Duration, b bounds) error {
	p, err := start(ctx, how, b.Memory)
	if err != nil {
		return err
	}
	defer p.kill()
	u, err := greet(ctx, p.target())
	if err != nil {
		return err
	}
	defer u.leave()
	fmt.Printf("%v, source %s, %d users that stay and %d that come and go\n", length, how.source, honestUsers, comers)
	crowd, stop := context.WithCancel(ctx)
	defer stop()
	a := &attacker{target: p.target(), producer: producer("comers"), tally: newTally()}
	var visits atomic.Int64
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		a.crowd(crowd, comers, func(ctx context.Context, i int) { u.visit(ctx, a, i, visits.Add(1)) })
	}()
	var sizes []int64
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		begun := time.Now()
		for rest(crowd, length/60) {
			n, err := current(p.cmd.Process.Pid)
			if err != nil {
				return // it has ended
			}
			sizes = append(sizes, n)
			fmt.Printf("%8v  %4d MiB resident  %7d visits  %s\n", time.Since(begun).Round(time.Second), n>>20, visits.Load(), a.tally)
		}
	}()
	u.push(ctx, length)
	h := u.figures()
	stop()
	<-gone
	<-sampled
	r := result{honest: h}
	r.end, r.exit = p.end()
	r.peak, r.account = p.peak(), p.account()
	early, late := mean(sizes[len(sizes)/4:len(sizes)/2]), mean(sizes[len(sizes)*3/4:])
	fmt.Printf("honest pushes %d, lost %d, p50 %.1f ms, p99 %.1f ms; new users %d, shut out %d; visits %d\n", r.sent, r.lost(), ms(r.p50), ms(r.p99), r.newcomers, r.shutOut, visits.Load())
	fmt.Printf("resident: second quarter %.1f MiB, last %.1f MiB, peak %d MiB; end in %v with %d\n", early/mib, late/mib, r.peak>>20, r.end.Round(time.Millisecond), r.exit)
	fmt.Printf("summary %s\n", strings.TrimSpace(p.out.String()))
	misses := r.misses(b)
	if late > early*growth {
		misses = append(misses, fmt.Sprintf("memory grew from %.1f to %.1f MiB, at most by %.0f %%", early/mib, late/mib, 100*(growth-1)))
	}
	for _, m := range misses {
		fmt.Fprintln(os.Stderr, "MISSED:", m)
	}
	if len(misses) > 0 {
		return errors.New("the soak was not withstood")
	}
	return nil
}

// visit is one stay of a user: it joins, is pushed to, and hangs up, half of the
// time without a word. Some of its pushes come when it has gone.
func (u *users) visit(ctx context.Context, a *attacker, i int, n int64) {
	name := "comer-" + strconv.Itoa(i) + "-" + strconv.FormatInt(n, 10)
	c, err := u.join(ctx, name)
	if err != nil {
		if ctx.Err() == nil {
			a.tally.add("not let in")
		}
		return
	}
	leave := context.AfterFunc(ctx, func() { _ = c.CloseNow() })
	defer leave()
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		for {
			if _, _, err := c.Read(ctx); err != nil {
				return
			}
		}
	}()
	for range comerPushes {
		a.post(ctx, name)
		if !rest(ctx, stay/comerPushes) {
			break
		}
	}
	if n%2 == 0 {
		_ = c.Close(websocket.StatusNormalClosure, "")
	} else {
		_ = c.CloseNow()
	}
	<-reading
	a.post(ctx, name)
}

func mean(all []int64) float64 {
	sum := int64(0)
	for _, n := range all {
		sum += n
	}
	return float64(sum) / float64(max(len(all), 1))
}
