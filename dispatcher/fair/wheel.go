package fair

import "math/bits"

// wheel is a hierarchical timer wheel (Varghese & Lauck, SOSP '87, scheme 7): 6
// levels of 64 buckets with a tick of 65.5 µs. A key may be delayed for 26 days;
// one that waits for longer is looked at after 26 days and delayed again. Adding,
// removing and finding the next bucket take constant time.
type wheel struct {
	now int64 // in ticks; everything due until then has fired
	// n counts the slots, used has a bit for each bucket that is not empty.
	n    int
	used [wheelLevels]uint64
	list [wheelLevels][64]slotList
}

const (
	tickBits     = 16 // a tick is 2^16 ns
	wheelLevels  = 6
	wheelHorizon = 1 << (6 * wheelLevels)
)

// delay puts an unlisted slot into the wheel until the time at, in nanoseconds. It
// is rounded up to the next tick, so that no slot fires early.
func (c *core) delay(i uint32, s *slot, at int64) {
	w := &c.wheel
	if w.n == 0 {
		w.now = max(w.now, c.now>>tickBits)
	}
	due := max((at+1<<tickBits-1)>>tickBits, w.now+1)
	c.timesOf(s).due = min(due, w.now+wheelHorizon/2)
	w.n++
	c.file(i, s)
}

// file puts a slot into the bucket of its due tick: the level is that of the
// highest digit (base 64) in which due and now differ, so each slot is filed at
// most once for each level.
func (c *core) file(i uint32, s *slot) {
	w := &c.wheel
	times := c.timesOf(s)
	level := (bits.Len64(uint64(times.due^w.now)) - 1) / 6
	level = min(level, wheelLevels-1)
	b := times.due >> (6 * level) & 63
	times.bucket = uint16(level<<6) | uint16(b)
	w.used[level] |= 1 << b
	c.push(&w.list[level][b], i, s, whereDelayed)
}

// undelay takes a slot out of the wheel before its time and leaves it unlisted.
func (c *core) undelay(s *slot) {
	w := &c.wheel
	bucket := c.timesOf(s).bucket
	level, b := bucket>>6, bucket&63
	l := &w.list[level][b]
	c.unlink(l, s)
	if l.head == 0 {
		w.used[level] &^= 1 << b
	}
	w.n--
}

// next returns the first bucket that comes due, and the tick at which it does. On
// the levels above the lowest that is the time at which its slots are filed anew,
// which is never after they are due.
func (w *wheel) next() (level, bucket int, tick int64, ok bool) {
	for level = range wheelLevels {
		if w.used[level] == 0 {
			continue
		}
		shift := 6 * level
		here := int(w.now >> shift & 63)
		bucket = (bits.TrailingZeros64(bits.RotateLeft64(w.used[level], -here)) + here) & 63
		span := int64(1) << (shift + 6)
		tick = w.now&^(span-1) + int64(bucket)<<shift
		// The bucket is one of the next turn of this level.
		if tick <= w.now {
			tick += span
		}
		return level, bucket, tick, true
	}
	return 0, 0, 0, false
}

// turn brings the wheel to the time now and hands each slot that has come due
// to fire, unlisted.
func (c *core) turn(now int64, fire func(i uint32, s *slot)) {
	w := &c.wheel
	to := now >> tickBits
	for w.n > 0 {
		level, b, tick, _ := w.next()
		if tick > to {
			break
		}
		w.now = tick
		l := w.list[level][b]
		w.list[level][b] = slotList{}
		w.used[level] &^= 1 << b
		// fire may put the slot into another list, so its successor is read first.
		for i := l.head; i != 0; {
			s := c.slots.at(i)
			following := s.next
			if c.timesOf(s).due <= tick {
				s.where = whereUnlisted
				w.n--
				fire(i, s)
			} else {
				c.file(i, s)
			}
			i = following
		}
	}
	w.now = max(w.now, to)
}
