package consumer

// check compares the pool's accounts with the model's.
func (m *model) check() {
	busy := 0
	for _, w := range m.active {
		if w.task != nil && (w.what == ended || w.what == reported) {
			busy++
		}
	}
	if busy != m.p.busy {
		m.t.Errorf("%d workers run, the pool counts %d", busy, m.p.busy)
	}
	if at, ok := m.p.pauses.first(); m.p.phase == working && ok && m.alarm != at {
		m.t.Errorf("the first pause ends at %d, the timer at %d", at, m.alarm)
	}
	if m.p.phase == working && m.p.jobs() > 0 && busy+m.p.waking == 0 {
		m.t.Errorf("%d jobs wait, and no goroutine comes for them", m.p.jobs())
	}
	for _, side := range m.sides {
		m.checkWorkers(side)
		if a := side.a; side.asked+side.asking+side.inUse+a.freed != a.slots {
			m.t.Errorf("of %d slots %d were asked for, %d are being asked for, %d are in use, %d are free",
				a.slots, side.asked, side.asking, side.inUse, a.freed)
		}
		if a := side.a; m.p.phase == working && m.p.jobs() == 0 && (a.tracked && a.ended > 0 || a.ask(m.p.rules.maxDeferred) > 0) {
			m.t.Errorf("no job waits, %d receipts do, and demand for %d", a.ended, a.ask(m.p.rules.maxDeferred))
		}
		if a := side.a; m.p.phase == working && a.freed > 0 && a.freed < a.least() && !m.p.ticking && !m.halted {
			m.t.Errorf("%d slots are free, and no tick will come", a.freed)
		}
		long := 0
		for _, w := range m.active {
			if w.task != nil && (w.what == ended || w.what == reported) && w.task.account == side.a && m.p.ticks-w.task.begun >= longTicks {
				long++
			}
		}
		if long != side.a.long {
			m.t.Errorf("%d workers take long, the account has %d", long, side.a.long)
		}
		if n, most := len(side.a.deferred), max(m.p.rules.maxDeferred, side.a.slots); n > most {
			m.t.Errorf("%d receipts are deferred, at most %d may be", n, most)
		}
	}
}

// checkWorkers compares the workers of a subscription with the model's, and its events that
// are under way with their bounds.
func (m *model) checkWorkers(side *modelSide) {
	a, workers, away, deferred := side.a, 0, 0, 0
	for _, w := range m.active {
		if w.task != nil && (w.what == ended || w.what == reported) && w.task.account == a {
			workers++
			if w.task.deferred && !w.task.away {
				deferred++ // it counts twice until its worker ends
			}
		}
	}
	if workers != a.workers || workers > a.slots {
		m.t.Errorf("%d workers run for %d slots, the account has %d", workers, a.slots, a.workers)
	}
	for i := range side.events {
		if ev := &side.events[i]; ev.away && !ev.finished && !ev.deferred {
			away++
		}
	}
	if n, most := len(a.deferred)+away+a.slots-a.freed-deferred, max(m.p.rules.maxDeferred, a.slots); m.p.phase == working && n > most {
		m.t.Errorf("%d events are in use, deferred or tried again, at most %d may be", n, most)
	}
	due := 0
	for i := range m.p.due.Len() {
		if m.p.due.At(i).account == a {
			due++
		}
	}
	if m.p.phase == working && a.held.Len() > 0 && a.workers+due < a.slots {
		m.t.Errorf("%d jobs are held although only %d of %d workers run", a.held.Len(), a.workers, a.slots)
	}
}
