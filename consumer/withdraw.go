package consumer

import (
	"context"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// HandleWithdraw implements stage.WithdrawHandler: events that their source has asked back
// and that no worker has, also those that wait for another attempt, go back.
func (s *Supervisor[T]) HandleWithdraw(context.Context) error {
	o := &s.orders
	o.reset()
	s.mu.Lock()
	s.pool.withdraw(func(j *job[T]) bool { return j.account.sub.Withdrawn(j.position) }, o)
	s.mu.Unlock()
	s.carryOut(o, nil)
	return nil
}

// withdraw ends the jobs without a worker for which back is true.
func (p *pool[T]) withdraw(back func(*job[T]) bool, o *orders[T]) {
	if p.phase != working {
		return
	}
	keep := func(list *ring.Ring[comeback[T]]) {
		for n := list.Len(); n > 0; n-- {
			if c := list.Pop(); back(&c.job) {
				p.giveBack(&c)
			} else {
				list.Push(c)
			}
		}
	}
	for n := p.waiting.Len(); n > 0; n-- {
		if j := p.waiting.Pop(); back(&j) {
			p.giveBack(&comeback[T]{job: j})
		} else {
			p.waiting.Push(j)
		}
	}
	keep(&p.due)
	for _, a := range p.accounts {
		keep(&a.held)
	}
	p.pauses.remove(func(c *comeback[T]) bool {
		if !back(&c.job) {
			return false
		}
		p.giveBack(c)
		return true
	})
	for _, a := range p.accounts {
		p.settle(a, true, o)
	}
}

// giveBack frees the slot of a job that has one, and notes its receipt.
func (p *pool[T]) giveBack(c *comeback[T]) {
	if c.away {
		c.account.away--
	} else {
		c.account.freed++
	}
	c.account.receipt(stage.Finished{Position: c.position, Err: stage.ErrWithdrawn})
}

// remove takes the jobs out for which gone is true.
func (p *pauses[T]) remove(gone func(*comeback[T]) bool) {
	for i := 0; i < len(p.due); {
		n := p.due[i].ID
		if !gone(&p.jobs[n]) {
			i++
			continue
		}
		p.jobs[n] = comeback[T]{}
		p.free = append(p.free, n)
		p.due[i] = p.due[len(p.due)-1]
		p.due = p.due[:len(p.due)-1]
	}
	// The order of the rest is made anew.
	rest := p.due
	p.due = rest[:0]
	for _, e := range rest {
		p.due.Push(e, unmoved)
	}
}
