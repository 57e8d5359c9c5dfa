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
	// Called by the goroutine of run only, with a slice that is used again afterwards.
	enter func(pushes []push, done func(error)) error
}

// run makes pushes from begin on until ctx is done.
func (l *load) run(ctx context.Context, begin time.Time) {
	if l.rate <= 0 {
		return
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same users in the same order in every run
	made := make([]*push, l.users+1)      // the push of each user, by id, once it has been due
	one := make([]push, 1)
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
			if made[user] == nil {
				made[user] = madePush(user)
			}
			one[0] = *made[user]
			one[0].At = due
			_ = l.enter(one, func(error) {})
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
func (l *load) pick(random *rand.Rand) (id int) {
	if l.users == 1 || random.Float64() < l.heavyShare {
		return 1
	}
	return 2 + random.IntN(l.users-1)
}

// madePush returns what the load pushes to a user, the same each time.
func madePush(id int) *push {
	topic := topicOf(strconv.Itoa(id))
	user := topic[len(topicPrefix):]
	return &push{User: user, topic: topic, Data: json.RawMessage(`{"to":"` + user + `","text":"a push of a couple of dozen bytes"}`)}
}
