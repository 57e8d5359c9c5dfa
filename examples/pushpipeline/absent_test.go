package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// TestAbsentUsersDoNotDelayOthers floods one absent user, or a new one with each push, from
// Kafka with one partition, whose window that fills: a user who is here gets pushes
// at once all the same, long before the end of the grace.
func TestAbsentUsersDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]func(n int) string{
		"one user":  func(int) string { return "away" },
		"new users": func(n int) string { return fmt.Sprint("away", n) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, "-source", "kafka", "-grace", "1m", "-partitions", "1", "-buffer-mib", "1", "-retention-mib", "256", "-drain", "20s")
			here := r.join("here")
			n, pushed := 0, 0
			eventually(t, patience, "3000 pushes to absent users", func() bool {
				for range 100 {
					if r.intake.enter([]push{{User: user(n), Data: json.RawMessage(`{}`)}}, func(error) {}) == nil {
						n++
					}
				}
				if err := r.intake.enter([]push{{User: "here", Data: json.RawMessage(`{}`)}}, func(error) {}); err != nil {
					return false // the broker of this process is full
				}
				pushed++
				begun := time.Now()
				if got, err := here.next(within(t, patience)); err != nil || got.Seq != uint64(pushed) {
					t.Fatalf("push %d: %+v %v", pushed, got, err)
				}
				if d := time.Since(begun); d > 20*time.Second { // of the minute of -grace
					t.Fatalf("push %d came after %v", pushed, d)
				}
				return n >= 3000
			})
			sum := r.stop()
			if sum.Discarded["no_subscriber"] != int64(n) || sum.Delivered != int64(pushed) {
				t.Errorf("%d to absent users, %d to the other: %+v", n, pushed, sum)
			}
		})
	}
}

// TestAbsentUsersAreWaitedFor with -full-grace, although their pushes fill the window: a
// user who comes back gets all of them, in order, and nothing is discarded.
func TestAbsentUsersAreWaitedFor(t *testing.T) {
	t.Parallel()
	r := start(t, "-source", "kafka", "-grace", "5m", "-full-grace", "-partitions", "1", "-buffer-mib", "1", "-drain", "20s")
	window := r.cfg.window()
	const users = 10
	count := 2 * window / users // for each user
	name := func(user int) string { return fmt.Sprint("away", user) }
	for n := range users * count {
		if err := r.intake.enter([]push{{User: name(n % users), Data: json.RawMessage(`{}`)}}, func(error) {}); err != nil {
			t.Fatalf("push %d: %v", n, err)
		}
	}
	ctx := within(t, patience)
	looks := 0
	eventually(t, patience, "a hundred looks at a full window", func() bool {
		s := r.status(ctx)
		if len(s.Discarded) != 0 {
			t.Fatalf("%+v", s)
		}
		if s.Queued+s.InFlight >= int64(window) {
			looks++
		}
		return looks == 100
	})
	var back [users]*subscriber // all at once: each holds up the others
	for user := range back {
		back[user] = r.join(name(user))
	}
	for user, socket := range back {
		for n := range count {
			if got, err := socket.next(ctx); err != nil || got.Seq != uint64(n+1) {
				t.Fatalf("push %d of %s: %+v %v", n+1, name(user), got, err)
			}
		}
	}
	if sum := r.stop(); sum.Delivered != int64(users*count) || len(sum.Discarded) != 0 {
		t.Errorf("%+v", sum)
	}
}
