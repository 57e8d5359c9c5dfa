//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// result is what one attack did.
type result struct {
	honest
	peak      int64 // bytes, resident
	end       time.Duration
	exit      int
	account   string // the program's own, if it does not add up
	attackers string // what they got to do
}

// honest is what the honest users noticed.
type honest struct {
	sent, got          int
	refused            int // pushes that got no 202
	newcomers, shutOut int
	p50, p99           time.Duration
	reconnects         int
}

func (h honest) lost() int { return h.sent - h.got }

// misses lists what exceeds the bounds.
func (r result) misses(b bounds) (all []string) {
	miss := func(when bool, format string, a ...any) {
		if when {
			all = append(all, fmt.Sprintf(format, a...))
		}
	}
	miss(r.sent == 0, "no honest push was sent")
	miss(r.lost() != 0, "%d of %d honest pushes did not arrive, %d of them refused", r.lost(), r.sent, r.refused)
	miss(r.reconnects != 0, "honest users lost their connection %d times", r.reconnects)
	miss(r.p99 > b.P99, "p99 of honest pushes %v, at most %v", r.p99.Round(100*time.Microsecond), b.P99)
	miss(r.newcomers == 0 || r.shutOut != 0, "%d of %d new users did not get in within %v", r.shutOut, r.newcomers, patience)
	miss(r.peak > b.Memory, "%d MiB resident, at most %d", r.peak>>20, b.Memory>>20)
	miss(r.exit != 0, "exit code %d", r.exit)
	miss(r.end > b.End, "the end took %v, at most %v", r.end.Round(time.Millisecond), b.End)
	miss(r.account != "", "%s", r.account)
	return all
}

// withstand runs one attack against a fresh program. The program is told to end
// while the attack goes on.
func withstand(ctx context.Context, a attack, how launch, length time.Duration, b bounds, seed uint64) (r result, err error) {
	p, err := start(ctx, how, b.Memory)
	if err != nil {
		return r, err
	}
	defer p.kill()
	users, err := greet(ctx, p.target())
	if err != nil {
		return r, err
	}
	defer users.leave()
	// The attack outlives the program, so that its end is one under attack.
	s, err := unleash(a, p.target(), seed)
	if err != nil {
		return r, err
	}
	users.push(ctx, length)
	r.honest = users.figures()
	r.end, r.exit = p.end()
	t, err := s.calm()
	r.peak, r.account, r.attackers = p.peak(), p.account(), t.String()
	return r, err
}
