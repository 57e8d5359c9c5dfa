package fair

import "math"

// The functions of a Config may return values that no option allows. A panic would
// stop the stage for one bad event, so such a value is replaced by a safe one and
// counted here; the stage logs it.

// misused counts a value of one of the functions of Config that was replaced.
func (f *Dispatcher[T, K]) misused(function string) {
	if f.misuse == nil {
		f.misuse = make(map[string]uint64)
	}
	f.misuse[function]++
	f.misuses++
	f.lastMisuse = function
}

// Misused implements [dispatcher.MisuseCounter]. Snapshot has the numbers of all
// functions.
func (f *Dispatcher[T, K]) Misused() (total uint64, function string) {
	return f.misuses, f.lastMisuse
}

// valid reports whether a rate may be used: its fields are within the bounds that
// Validate has for Config.Rate. A PerSecond that is not a number is not.
func (r Rate) valid() bool {
	return r.PerSecond >= 0 && r.PerSecond <= 1e9 && r.Burst >= 0 && r.Burst <= maxEvents
}

// rate returns the limit that the event's key has now. RateOf may return another
// one for each event, so it is never stored. One that cannot be used is replaced by
// Config.Rate.
func (f *Dispatcher[T, K]) rate(event T) Rate {
	if f.cfg.RateOf == nil {
		return f.cfg.Rate
	}
	rate := f.cfg.RateOf(event)
	if !rate.valid() {
		f.misused("RateOf")
		return f.cfg.Rate
	}
	return rate
}

// size returns what an event counts for, in bytes, at most 4 GiB. A negative Size
// counts as 0.
func (f *Dispatcher[T, K]) size(event T) uint32 {
	if f.cfg.Size == nil {
		return f.sizeof
	}
	n := f.cfg.Size(event)
	if n < 0 {
		f.misused("Size")
		return 0
	}
	return uint32(min(n, math.MaxUint32))
}

// classOf returns what a class function returns for the event, and 0 for nil or an
// index out of range.
func (f *Dispatcher[T, K]) classOf(name string, class func(T) int, event T) uint8 {
	if class == nil {
		return 0
	}
	k := class(event)
	if k < 0 || k >= len(f.cfg.Weights) {
		f.misused(name)
		return 0
	}
	return uint8(k)
}

// merged returns the event that replaces two with the same key and sub-key: the
// newer one if Merge has returned an event with another key or sub-key, which would
// be filed in the wrong queue.
func (f *Dispatcher[T, K]) merged(older, newer T, sub string) T {
	if f.cfg.Merge == nil {
		return newer
	}
	event := f.cfg.Merge(older, newer)
	if f.cfg.SubKey(event) != sub || f.key(event) != f.key(newer) {
		f.misused("Merge")
		return newer
	}
	return event
}
