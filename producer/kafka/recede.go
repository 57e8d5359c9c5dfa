package kafka

import "time"

// A member that gives partitions up takes back what it has read ahead. If it took back
// records in front of finished ones, the next member would have these again. So it begins
// with the end of each partition, behind the last record that a consumer has had, and has
// what is in front of that finished; what this would take too long for comes back as well.
// Only if records end in the order of their partition all come back at once: then what no
// handler has started is an end anyway. A member that has just begun does not know that, and
// takes it that they do not.

// recede gives up the events of the partitions for which which is true, and waits up to
// RevokeTimeout until settled is closed or no receipts will come any more. The group waits
// meanwhile, which is why there is a bound. settled may be nil; then it returns when the
// rest was asked back.
func (p *Producer[T]) recede(which func(*partition) bool, settled <-chan struct{}) {
	end := time.Now().Add(p.cfg.RevokeTimeout)
	p.mu.Lock()
	lists := p.core.flights.queues(which)
	atOnce := p.cfg.RevokeTimeout == 0 || p.core.orderly(p.core.flights.count(which))
	p.mu.Unlock()
	if !atOnce {
		p.self.WithdrawTails(lists...)
		// The tails come back meanwhile; what is to be finished is what stays.
		begun := p.cfg.RevokeTimeout / 40
		if p.await(settled, begun) {
			return
		}
		before := p.left(which)
		if p.await(settled, p.cfg.RevokeTimeout/4-begun) {
			return
		}
		// A pace that does not do in the time that is left makes no use of it.
		if p.left(which) <= before/2 && p.await(settled, p.cfg.RevokeTimeout/4) {
			return
		}
		if n := p.left(which); n > 0 {
			p.cfg.Logger.Warn("kafka: records that do not end in time are given back; any that were finished behind them are delivered again", "group", p.cfg.Group, "records", n)
		}
	}
	p.askBack(which)
	if settled != nil {
		p.await(settled, time.Until(end))
	}
}

// await waits until settled is closed or no receipts will come any more, and reports
// whether that was before d had passed.
func (p *Producer[T]) await(settled <-chan struct{}, d time.Duration) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	select {
	case <-settled:
	case <-p.hard.Done():
	case <-deadline.C:
		return false
	}
	return true
}

// left is the number of events without a receipt of the partitions for which which is true.
func (p *Producer[T]) left(which func(*partition) bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.flights.count(which)
}

// askBack asks the stages for the events of some partitions that no handler has started.
// Their receipts have the outcome Withdrawn.
func (p *Producer[T]) askBack(which func(*partition) bool) {
	p.mu.Lock()
	list := p.core.flights.of(which)
	p.mu.Unlock()
	p.self.Withdraw(list...)
}
