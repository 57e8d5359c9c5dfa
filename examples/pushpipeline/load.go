package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"
)

// heavyUser is the id of the user for whom the heavy share of the load is made.
const heavyUser = "1"

// load makes pushes at a steady rate, whatever becomes of them: when each of
// them is due is known in advance, and its latency counts from then on, so that
// a pipeline that keeps the generator waiting is not measured as fast.
type load struct {
	// The ids are 1 to users.
	users      int
	rate       float64 // pushes a second
	heavyShare float64 // of heavyUser, 0 to 1
	// Called by the goroutine of run only.
	enter func(pushes []push, done func(error)) error
}

// run makes pushes from begin on until ctx is done.
func (l *load) run(ctx context.Context, begin time.Time) {
	if l.rate <= 0 {
		return
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same users in the same order in every run
	timer := time.NewTimer(time.Until(begin))
	defer timer.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		for {
			// Computed from the start and not from the last push, so that no error adds up.
			due := begin.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
			// Everything that is due by now has been made: sleep until the next.
			if due.After(now) {
				timer.Reset(time.Until(due))
				break
			}
			// The intake counts what it refuses.
			user := l.pick(random)
			data := json.RawMessage(`{"to":"` + user + `","text":"a push of a couple of dozen bytes"}`)
			_ = l.enter([]push{{User: user, Data: data, At: due}}, func(error) {})
			n++
			// A generator that is far behind its schedule would never reach the
			// select.
			if n%256 == 0 && ctx.Err() != nil {
				return
			}
		}
	}
}

// pick returns the user of the next push: the heavy one with the probability
// heavyShare, otherwise any of the others.
func (l *load) pick(random *rand.Rand) string {
	if l.users == 1 || random.Float64() < l.heavyShare {
		return heavyUser
	}
	return strconv.Itoa(2 + random.IntN(l.users-1))
}
