package dispatcher

// Withdraw implements Withdrawer.
func (p *Partition[T]) Withdraw(match func(seq uint64) bool, gone func(seq uint64)) {
	for i := range p.parts {
		part := &p.parts[i]
		before := part.open()
		n := part.queue.remove(match, gone)
		if n == 0 {
			continue
		}
		p.held -= n
		if part.sub < 0 {
			p.orphans -= n
		}
		p.open = addSaturating(p.open, part.open()-before)
	}
	p.recount()
}

// remove removes the events whose numbers match, calls gone for each, and returns how many
// there were. The others keep their order.
func (q *heldQueue[T]) remove(match func(seq uint64) bool, gone func(seq uint64)) (removed int) {
	for n := q.Len(); n > 0; n-- {
		event, seq := q.events.Pop(), q.seqs.Pop()
		if match(seq) {
			removed++
			gone(seq)
			continue
		}
		q.events.Push(event)
		q.seqs.Push(seq)
	}
	return removed
}
