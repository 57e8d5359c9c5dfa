package pipeline

// pause begins no attempt until resume. What runs goes on.
func (p *pool[J]) pause() {
	p.mu.Lock()
	p.core.paused = true
	p.mu.Unlock()
}

// resume ends a pause.
func (p *pool[J]) resume() {
	now := p.clock()
	p.mu.Lock()
	p.core.paused = false
	p.unlock(now)
}

// resize changes the number of workers. Those above it leave when their run has ended.
func (p *pool[J]) resize(workers int) {
	now := p.clock()
	p.mu.Lock()
	p.core.rules.workers = workers
	leaving := p.pop(p.core.surplus().wake)
	p.unlock(now)
	p.rouse(leaving, 0)
}

// setRate changes the rate of the whole.
func (p *pool[J]) setRate(rate Rate) {
	now := p.clock()
	p.mu.Lock()
	p.core.rate.set(rate, now)
	p.unlock(now)
}
