package consumer

import (
	"slices"

	"github.com/penstock-go/penstock/stage"
)

// account is what is due to one subscription. The supervisor's lock guards it.
type account[T any] struct {
	s        *Supervisor[T]
	sub      *stage.Subscription[T]
	slots    int // how many workers the subscription has asked for at most
	lot      int // slots are asked for again in lots of at least this many
	tracked  bool
	measured bool // how long its workers take

	freed    int // slots that were not asked for again yet
	ended    int // jobs whose end was not handed over yet
	finished []stage.Finished
	spare    []stage.Finished
	blank    []stage.Finished    // for a subscription on which only their number counts
	deferred map[uint64]struct{} // positions whose receipt is in somebody's hands
	settling bool                // somebody is handing over
	finish   func(position uint64, err error)
}

func (s *Supervisor[T]) accountOf(sub *stage.Subscription[T]) *account[T] {
	for _, a := range s.accounts {
		if a.sub == sub {
			return a
		}
	}
	s.accounts = slices.DeleteFunc(s.accounts, func(a *account[T]) bool { return a.sub.Err() != nil })
	info := sub.Info()
	a := &account[T]{
		s: s, sub: sub, slots: info.MaxDemand, lot: max(1, info.MinDemand),
		tracked: sub.Tracked(), measured: s.measured || sub.Tracked(),
		deferred: make(map[uint64]struct{}),
	}
	s.accounts = append(s.accounts, a)
	return a
}

// receipt books the end of a job.
func (a *account[T]) receipt(f stage.Finished) {
	a.ended++
	if a.tracked {
		a.finished = append(a.finished, f)
	}
}

// ask is how many slots are asked for again now. Counted are the slots that are
// in use and the events that wait for a deferred receipt: together they stay
// within MaxDeferred, so that each event that runs or was asked for could be
// deferred as well.
func (a *account[T]) ask() int {
	if a.freed < a.lot {
		return 0
	}
	bound := max(a.s.cfg.MaxDeferred, a.slots)
	return max(0, min(a.freed, bound-len(a.deferred)-(a.slots-a.freed)))
}

// settle hands over what is due to a's subscription and says whether there was
// anything. The caller holds the lock, which is given up meanwhile. Whoever
// comes while somebody is handing over leaves it to him; and while there are
// jobs to be done a few receipts wait for company, unless hurry says that
// nobody may come by again soon.
func (s *Supervisor[T]) settle(a *account[T], hurry bool) (did bool) {
	const lot = 64 // what waits no longer for company
	for !a.settling {
		ask := a.ask()
		switch {
		case ask == 0 && a.ended == 0:
			return did
		case hurry && ask == 0 && !a.tracked:
			return did // nobody waits for it
		case !hurry && s.jobs.Len() > 0 && a.ended < lot && ask < lot:
			return did
		}
		a.freed -= ask
		list := a.list()
		a.settling, did = true, true
		s.mu.Unlock()
		a.sub.Settle(ask, list...)
		clear(list)
		s.mu.Lock()
		if a.tracked {
			a.spare = list[:0]
		}
		a.settling = false
	}
	return did
}

// list takes the receipts that are due.
func (a *account[T]) list() []stage.Finished {
	n := a.ended
	a.ended = 0
	if !a.tracked {
		a.blank = slices.Grow(a.blank[:0], n)[:n]
		return a.blank
	}
	list := a.finished
	a.finished, a.spare = a.spare[:0], nil
	return list
}

// settleAll hands over everything that somebody waits for and says whether
// there was anything. The caller holds the lock, which is given up meanwhile.
func (s *Supervisor[T]) settleAll() (did bool) {
	for _, a := range s.accounts {
		if s.settle(a, true) {
			return true // the accounts may have changed meanwhile
		}
	}
	return false
}
