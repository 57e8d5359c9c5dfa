package pipeline

// What steps that gather ask a pool.

// workers returns the number of workers.
func (p *pool[J]) workers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.rules.workers
}

// slack returns how many more jobs could run at once, if they were added now.
func (p *pool[J]) slack() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.core
	return c.rules.workers - c.running - c.runnable()
}

// credit returns what an account has been credited with. Its owner never takes it.
func (p *pool[J]) credit(a *account) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return a.credit
}

// failedToo counts n more events that have failed for good with the job that is reported as
// failed: a job with several events counts as one otherwise.
func (p *pool[J]) failedToo(n int) {
	if n < 1 {
		return
	}
	p.notes.failures.Add(int64(n))
	p.mu.Lock()
	p.failures += int64(n)
	p.mu.Unlock()
}
