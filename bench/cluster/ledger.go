//go:build linux

package main

import (
	"sync"
	"time"
)

// ledger has what was produced for each user, and what of it arrived. Any goroutine may
// use it. Times are since the beginning of the run.
type ledger struct {
	mu    sync.Mutex // guards all fields
	users []account
	total tally
}

// account is that of one user, whose records are numbered from 1.
type account struct {
	made  []time.Duration // when each record was produced
	seen  []uint8         // what became of it: see the bits below
	low   int             // index of the first record that has not arrived
	last  int             // number of the latest first delivery
	worst time.Duration   // longest way of a record since the last call of worstOf
}

// The bits of account.seen.
const (
	arrived uint8 = 1 << iota
	arrivedLive
	refused // by Kafka, which never had it
)

// tally counts records and deliveries of all users.
type tally struct {
	Made     int `json:"records"`
	Refused  int `json:"refused"` // by Kafka
	Arrived  int `json:"arrived"`
	Lost     int `json:"lost"`
	Twice    int `json:"twice"`
	Disorder int `json:"out_of_order"`
	// Frames with another user's record, or with one that was never produced.
	Wrong int `json:"wrong"`
	// Arrived on a connection that the client had given up, and on no other.
	Stranded int `json:"stranded"`
}

func newLedger(users int) *ledger { return &ledger{users: make([]account, users)} }

// make notes that a record is produced for a user, and returns its number.
func (l *ledger) make(user int, now time.Duration) (number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.users[user]
	a.made, a.seen = append(a.made, now), append(a.seen, 0)
	l.total.Made++
	return len(a.made)
}

// refuse notes that Kafka has not taken a record.
func (l *ledger) refuse(user, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.users[user]
	if a.seen[number-1] == 0 {
		l.total.Refused++
		a.seen[number-1] = refused
		a.advance()
	}
}

// deliver notes that a record came by a connection of the user; live is false if the
// client had given that up.
func (l *ledger) deliver(user, number int, now time.Duration, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.users[user]
	if number < 1 || number > len(a.made) {
		l.total.Wrong++
		return
	}
	seen := &a.seen[number-1]
	if live {
		*seen |= arrivedLive
	}
	if *seen&arrived != 0 {
		l.total.Twice++
		return
	}
	*seen |= arrived
	l.total.Arrived++
	if number < a.last {
		l.total.Disorder++
	}
	a.last = number
	a.worst = max(a.worst, now-a.made[number-1])
	a.advance()
}

// stray notes a frame that is not for the user of its connection.
func (l *ledger) stray() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total.Wrong++
}

func (a *account) advance() {
	for a.low < len(a.seen) && a.seen[a.low] != 0 {
		a.low++
	}
}

// oldest returns how long the longest-waiting record has been on its way, 0 if none is.
func (l *ledger) oldest(now time.Duration) (age time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.users {
		if a := &l.users[i]; a.low < len(a.made) {
			age = max(age, now-a.made[a.low])
		}
	}
	return age
}

// worstOf returns the longest way of a record of these users since the last call, which
// may not be over.
func (l *ledger) worstOf(users []int, now time.Duration) (worst time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range users {
		a := &l.users[u]
		worst = max(worst, a.worst)
		if a.low < len(a.made) {
			worst = max(worst, now-a.made[a.low])
		}
	}
	for i := range l.users {
		l.users[i].worst = 0
	}
	return worst
}

// counts returns the tally as of now: what has not arrived yet is lost so far.
func (l *ledger) counts() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.total
	t.Lost = t.Made - t.Arrived
	for i := range l.users {
		for _, seen := range l.users[i].seen {
			switch {
			case seen == refused:
				t.Lost--
			case seen&arrived != 0 && seen&arrivedLive == 0:
				t.Stranded++
			}
		}
	}
	return t
}

// gap is what a user has not got.
type gap struct{ user, first, missing int }

// gaps returns the users with records that have not arrived.
func (l *ledger) gaps() (all []gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.users {
		a, g := &l.users[i], gap{user: i}
		for j, seen := range a.seen {
			if seen == 0 {
				if g.missing++; g.missing == 1 {
					g.first = j + 1
				}
			}
		}
		if g.missing > 0 {
			all = append(all, g)
		}
	}
	return all
}

// quick returns the tally without Lost and Stranded.
func (l *ledger) quick() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}
