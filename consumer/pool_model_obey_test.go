package consumer

import (
	"slices"
)

// outside obeys the orders of a goroutine that is not the pool's.
func (m *model) outside(o *orders[int]) {
	if len(o.settle) > 0 {
		give := m.handOvers(o)
		m.open = append(m.open, order{do: func() {
			give()
			var o orders[int]
			m.p.handed(&o)
			m.obey(nil, &o)
		}})
	}
	o.settle = nil
	m.obey(nil, o)
}

// obey carries out the orders of by, hand-overs some time later.
func (m *model) obey(by *modelWorker, o *orders[int]) {
	if o.quiet {
		m.quieted++
		if n := m.p.running + m.p.stuck + m.p.handing; n > 0 || len(m.open) > 0 {
			m.t.Errorf("it is quiet while %d run and %d orders are open", n, len(m.open))
		}
	}
	for range o.wake {
		w := m.parked[len(m.parked)-1]
		m.parked = m.parked[:len(m.parked)-1]
		w.what = woken
		m.active = append(m.active, w)
	}
	for range o.start {
		m.active = append(m.active, &modelWorker{task: new(task[int])})
	}
	if len(o.settle) > 0 {
		m.open = append(m.open, order{by, m.handOvers(o)})
	}
	if o.halt != nil {
		m.halted = true
	}
	if o.alarm {
		m.setAlarm()
	}
}

// handOvers returns a function that carries out the hand-overs of o.
func (m *model) handOvers(o *orders[int]) func() {
	var gives []func()
	for _, h := range o.settle {
		h.list = slices.Clone(h.list)
		i := slices.IndexFunc(m.sides, func(s *modelSide) bool { return s.a.sub == h.sub })
		m.sides[i].asking += h.ask
		gives = append(gives, func() { m.handOver(m.sides[i], h) })
	}
	return func() {
		for _, give := range gives {
			give()
		}
	}
}

// handOver gives a producer demand and receipts.
func (m *model) handOver(side *modelSide, h handover[int]) {
	side.asking -= h.ask
	side.asked += h.ask
	if side.a.tracked && len(h.list) != h.ended {
		m.t.Errorf("%d receipts for %d events", len(h.list), h.ended)
	}
	for _, f := range h.list {
		ev := &side.events[f.Position]
		if !ev.finished || ev.given {
			m.t.Errorf("a receipt for event %d, which is finished: %v, has one: %v", f.Position, ev.finished, ev.given)
		}
		ev.given = true
	}
}

func (m *model) sideOf(a *account[int]) *modelSide {
	if a == nil {
		return m.sides[0] // of a goroutine that has no task yet
	}
	return m.sides[slices.IndexFunc(m.sides, func(s *modelSide) bool { return s.a == a })]
}
