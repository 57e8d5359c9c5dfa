package pipeline

// throttle is the rates of a pool: that of the whole, and that of each key. The zero value
// has no limit.
type throttle[J any] struct {
	whole *limiter
	each  *keyLimiter[string]
	opens int64 // the whole rate allows nothing before
}

// maxRatedKeys bounds the keys whose rate is known.
const maxRatedKeys = 100_000

// shut reports whether the rate of the whole allows nothing now.
func (t *throttle[J]) shut(now int64) bool { return t.whole != nil && t.opens > now }

// limits reports whether there is a rate.
func (t *throttle[J]) limits() bool {
	return t.whole != nil && t.whole.rate.PerSecond > 0 || t.each != nil
}

// allow counts up to n jobs, and returns how many may run now.
func (t *throttle[J]) allow(now int64, n int) int {
	if t.whole == nil || n == 0 {
		return n
	}
	allowed := t.whole.take(now, n)
	if allowed < n {
		t.opens = max(now+1, t.whole.next(now))
	}
	return allowed
}

// allowKey is allow for jobs of one key, which both rates must allow. It returns 0 if
// either is used up; then shut reports whether it was that of the whole.
func (t *throttle[J]) allowKey(now int64, key string, n int) int {
	if t.whole != nil && t.whole.next(now) > now {
		return t.allow(now, n) // which notes that jobs wait
	}
	if t.each != nil {
		n = t.each.take(now, key, min(n, 1))
	}
	return t.allow(now, n)
}

// nextKey returns when a key may run again.
func (t *throttle[J]) nextKey(now int64, key string) int64 {
	if t.each == nil {
		return now
	}
	return t.each.next(now, key)
}

// set changes the rate of the whole.
func (t *throttle[J]) set(rate Rate, now int64) {
	t.opens = 0
	if t.whole == nil {
		l := newLimiter(rate)
		t.whole = &l
		return
	}
	t.whole.set(rate, now)
}
