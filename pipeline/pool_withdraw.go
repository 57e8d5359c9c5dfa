package pipeline

import (
	"context"

	"github.com/penstock-go/penstock/stage"
)

// HandleWithdraw implements stage.WithdrawHandler: events that their source has asked back
// and that no worker has, also those that wait for another attempt, go back.
func (s *stepBase[In, Out]) HandleWithdraw(context.Context) error {
	now := s.pool.clock()
	s.pool.mu.Lock()
	s.pool.core.withdraw(func(w *work[In, Out]) bool { return w.from.sub.Withdrawn(w.position) }, stage.ErrWithdrawn)
	s.pool.unlock(now)
	return nil
}

// withdraw ends the jobs that no worker has and for which back is true, with err as their
// result. Their results do not wait for those before them.
func (c *core[J]) withdraw(back func(*J) bool, err error) {
	var gone []*job[J]
	for j := c.first; j != nil; j = j.after {
		if (j.state == jobWaiting || j.state == jobPausing) && back(&j.data) {
			gone = append(gone, j)
		}
	}
	if len(gone) == 0 || c.phase != coreWorking {
		return
	}
	// Their state names them in the lists.
	keys := map[*jobKey[J]]bool{}
	pausing := false
	for _, j := range gone {
		pausing = pausing || j.state == jobPausing
		k := j.key
		if k != nil {
			if keys[k] = true; j.state == jobPausing {
				// It is the first of its key: the others may run, and count.
				k.pausing = false
				c.queued += k.queue.n
			}
		}
		if k != nil && !k.pausing || k == nil && j.state == jobWaiting {
			c.queued--
		}
		j.state = jobDone
	}
	if pausing {
		rest := c.pauses
		c.pauses = nil
		for _, p := range rest {
			if p.job.state == jobPausing {
				c.pauses.add(p.job)
			}
		}
	}
	for k := range keys {
		k.queue.sift()
		k.heldTo = nil
		if !k.ready {
			c.release(k)
		}
	}
	if len(keys) > 0 {
		c.siftKeys()
	}
	c.again.sift()
	c.waiting.sift()
	for _, j := range gone {
		if j.troubled {
			c.troubled--
		}
		j.key, j.err = nil, err
		c.result(j)
	}
	c.advance()
}

// sift takes the jobs out of a queue that have a result.
func (l *jobList[J]) sift() {
	list := *l
	*l = jobList[J]{}
	for j := list.first; j != nil; {
		next := j.next
		if j.state != jobDone {
			l.push(j)
		}
		j = next
	}
}

// siftKeys forgets the keys that were ready and have no job any more.
func (c *core[J]) siftKeys() {
	list := c.ready
	c.ready = keyList[J]{}
	for k := list.first; k != nil; {
		next := k.next
		k.ready = false
		c.release(k)
		k = next
	}
}
