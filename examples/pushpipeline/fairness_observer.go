package main

import (
	"slices"
	"sync"
	"time"
)

// lateness is how late a push may be made and still counts as offered in time.
const lateness = 50 * time.Millisecond

// observer follows the pushes that are due within a window from when they are
// due until a client has them. Any goroutine may call it; mu guards all fields.
type observer struct {
	mu   sync.Mutex
	from time.Time // the window
	to   time.Time
	// By user, made at the first push that is due in the window.
	users map[string]*observed
	// Of the window, all users.
	onTime int // made in time, taken in or refused
	served int // pushes of all users that arrived within the window, whenever due
}

// observed is what became of a user's pushes.
type observed struct {
	due, arrived int                // pushes
	lag          int                // the most that were due and had not arrived at once
	waits        []time.Duration    // of those that arrived
	open         map[int64]struct{} // due and not arrived, by unix microseconds
}

// newObserver returns an observer whose window is not open yet.
func newObserver() *observer { return &observer{users: make(map[string]*observed)} }

// open sets the window.
func (o *observer) open(from time.Time, window time.Duration) (to time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.from, o.to = from, from.Add(window)
	return o.to
}

// within reports whether t is in the window. The caller holds the lock.
func (o *observer) within(t time.Time) bool { return !t.Before(o.from) && t.Before(o.to) }

// made notes a push that is made now and was due then. It is called before the push
// enters. The due times of one user differ by a microsecond or more.
func (o *observer) made(user string, due time.Time) {
	// Before the lock, whose wait must not count as lateness.
	late := time.Since(due)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.within(due) {
		return
	}
	u := o.users[user]
	if u == nil {
		u = &observed{open: make(map[int64]struct{})}
		o.users[user] = u
	}
	if late <= lateness {
		o.onTime++
	}
	u.due++
	u.open[due.UnixMicro()] = struct{}{}
	// Only here can the number grow.
	u.lag = max(u.lag, len(u.open))
}

// arrived notes a push that a client has, in the goroutine that reads for it.
func (o *observer) arrived(user string, due, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.within(at) {
		o.served++
	}
	u := o.users[user]
	if u == nil {
		return
	}
	if _, ok := u.open[due.UnixMicro()]; !ok {
		return // due outside the window, or here a second time
	}
	// A second one finds nothing here, so that no push counts twice.
	delete(u.open, due.UnixMicro())
	u.arrived++
	u.waits = append(u.waits, at.Sub(due))
}

// verdict is what a flood did to its victims.
type verdict struct {
	Pushes   int             // that were due for victims
	Lost     int             // of them, that had not arrived at the end
	Waits    []time.Duration // sorted; of a lost one, how long it had waited by the end
	MinShare float64         // of the victims: the least share of a user's pushes that arrived
	Lag      int             // the most pushes of one victim that were due and had not arrived
	Jain     float64         // Jain's index of the victims' shares
	Served   float64         // pushes of all users per second
	Offered  float64         // share of the schedule that was kept
}

// end returns what has become of all pushes by now; scheduled is how many were to
// be made in the window.
func (o *observer) end(scheduled float64) verdict {
	// One time for all lost pushes, again from before the lock.
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	v := verdict{
		MinShare: 1, Served: float64(o.served) / o.to.Sub(o.from).Seconds(),
		Offered: min(1, float64(o.onTime)/scheduled),
	}
	var n, sum, squares float64
	// Only users with a push due in the window are here, so that due is not 0.
	for user, u := range o.users {
		// The flood's own user is no victim.
		if user == heavyUser {
			continue
		}
		v.Pushes += u.due
		v.Lost += len(u.open)
		v.Waits = append(v.Waits, u.waits...)
		// A lost push counts with the time it has waited: leaving it out would
		// reward a dispatcher that drops.
		for due := range u.open {
			v.Waits = append(v.Waits, now.Sub(time.UnixMicro(due)))
		}
		v.Lag = max(v.Lag, u.lag)
		share := float64(u.arrived) / float64(u.due)
		v.MinShare = min(v.MinShare, share)
		n, sum, squares = n+1, sum+share, squares+share*share
	}
	// 1 is an equal share for all, 1/n everything for one.
	if squares > 0 {
		v.Jain = sum * sum / (n * squares)
	}
	// For quantile, which only indexes.
	slices.Sort(v.Waits)
	return v
}

// quantile is the q-quantile of the victims' waits, 0 if there were none.
func (v verdict) quantile(q float64) time.Duration {
	if len(v.Waits) == 0 {
		return 0
	}
	return v.Waits[min(int(q*float64(len(v.Waits))), len(v.Waits)-1)]
}
