package dispatcher

import "github.com/penstock-go/penstock/receipt"

// Dispatch implements Dispatcher. Held events go first, so that a partition keeps
// its order. New ones are only noted by place, and each partition gets its own in
// one piece at the end.
func (p *Partition[T]) Dispatch(offer Offer[T], out Out[T]) int {
	p.serveHeld(out)
	taken := p.sort(offer, out)
	for _, i := range p.used {
		part := &p.parts[i]
		// The first ones fill the open demand, the others are held.
		giveEach(out, int(part.sub), part.picked[:part.given])
		part.queue.push(offer, part.picked[part.given:])
		part.picked, part.given, part.counted = part.picked[:0], 0, 0
	}
	p.used = p.used[:0]
	p.recount()
	return taken
}

// sort finds the partition of each event, and returns how many events it took.
func (p *Partition[T]) sort(offer Offer[T], out Out[T]) int {
	taken := 0
	for taken < len(offer.Events) && p.open > 0 {
		// This many can be taken for any partitions, so the demand of each need not
		// be looked at.
		n := min(len(offer.Events)-taken, p.open, p.capacity-p.held)
		full := n <= 0
		if full {
			n = 1 // nothing more can be held, but the event's partition may have demand
		}
		run := offer.Events[taken : taken+n]
		homes := p.locate(run)
		parts := p.parts
		if at := homes[0]; full && uint(at) < uint(len(parts)) && parts[at].outstanding == 0 {
			return taken
		}
		for i, at := range homes {
			if uint(at) >= uint(len(parts)) {
				if at >= 0 {
					p.refuse(at)
				}
				out.Discard(run[i], offer.First+uint64(taken+i), receipt.NoPartition)
				continue
			}
			part := &parts[at]
			if len(part.picked) == 0 {
				p.used = append(p.used, at)
			}
			part.picked = append(part.picked, int32(taken+i))
		}
		taken += n
		p.count()
	}
	return taken
}

// count divides the events picked since the last call into those that the
// subscribers have asked for and those that are held for them. No event is moved
// yet, but outstanding, open and held are right after it.
func (p *Partition[T]) count() {
	for _, i := range p.used {
		part := &p.parts[i]
		fresh := len(part.picked) - part.counted
		given := min(fresh, part.outstanding) // 0 without a subscription
		part.outstanding -= given
		p.open -= given
		part.given += given
		p.held += fresh - given
		if part.sub < 0 {
			p.orphans += fresh
		}
		part.counted += fresh
	}
}

// serveHeld hands out held events to subscriptions that have asked since.
func (p *Partition[T]) serveHeld(out Out[T]) {
	for _, i := range p.ready {
		part := &p.parts[i]
		part.ready = false
		for part.outstanding > 0 && part.queue.Len() > 0 {
			events, seqs := part.queue.front(part.outstanding)
			part.outstanding -= len(events)
			p.held -= len(events)
			giveHeld(out, int(part.sub), events, seqs)
			part.queue.drop(len(events))
		}
	}
	p.ready = p.ready[:0]
}
