package pipeline

import "github.com/penstock-go/penstock/trace"

// ask returns how much to ask for now for an account, and counts it as asked. While the
// owner could do without the pool it asks for nothing, so that the pool becomes empty.
func (p *pool[J]) ask(a *account) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.core.unfinished > 0 && p.inlines() {
		return 0
	}
	return a.due(false)
}

// inlines reports, with the lock held, whether the owner can do without the pool when it is
// empty: it has one worker and no rate, and jobs are quick and do not fail.
func (p *pool[J]) inlines() bool {
	c := &p.core
	return c.rules.workers == 1 && !c.rules.keyed && !c.paused && c.troubled == 0 && c.size.quick() &&
		p.cfg.timeout == 0 && !p.cfg.wary && !c.rate.limits() && c.phase == coreWorking
}

// arrive counts n events that have come, and reports whether the owner may run them itself,
// on its goroutine, until it adds one.
func (p *pool[J]) arrive(a *account, n int) (bypass bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.asked -= n
	return p.core.unfinished == 0 && p.core.results.n == 0 && p.inlines()
}

// earn makes room for n events that the owner has run itself, and returns how much to ask
// for.
func (p *pool[J]) earn(a *account, n int) (ask int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.credit += n
	return a.due(false)
}

// took notes that n jobs which the owner has run itself took that long. The pool is used
// from now on if they were slow.
func (p *pool[J]) took(n int, elapsed int64) {
	p.notes.ran(n, elapsed, trace.Context{}) // sampled events are left to the workers
	if elapsed/int64(n) < quickTime {
		return
	}
	p.mu.Lock()
	p.core.size.note(n, elapsed)
	p.mu.Unlock()
}

// addFailed adds a job that the owner has run itself, and that has failed. fill fills in
// its data.
func (p *pool[J]) addFailed(account *account, weight int, err error, fill func(data *J)) {
	now := p.clock()
	v := p.judge(err, 1, now)
	a := p.begin()
	fill(a.add("", account, weight))
	j := p.core.grab()
	after := p.rule(j, v, now)
	a.end()
	if after != nil {
		after()
	}
}

// busy reports whether there are jobs without a result, or results that were not taken.
func (p *pool[J]) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.unfinished > 0 || p.core.results.n > 0
}
