package pipeline

import "github.com/penstock-go/penstock/internal/ring"

// keyLimiter is a limiter for each key. It knows at most max keys: those that have had
// no events for as long as their bucket takes to fill are forgotten, which changes
// nothing, and at the bound the one that was looked at longest ago. It belongs to one
// goroutine.
type keyLimiter[K comparable] struct {
	rate Rate
	max  int
	// buckets[i] is the bucket of the key keys[i]. Places of forgotten keys are in
	// free.
	places  map[K]int32
	keys    []K
	buckets []bucket
	free    []int32
	// order has the place of every known key, and says which of them is looked at
	// next.
	order ring.Ring[int32]
	// evicted counts the keys that were forgotten at the bound although their bucket
	// was not full: they may have exceeded their rate by a burst.
	evicted int64
}

// looks is how many known keys are looked at for each new one. With two of them the
// keys that can be forgotten go faster than new ones come.
const looks = 2

// newKeyLimiter returns a limiter for at most maxKeys keys at once.
func newKeyLimiter[K comparable](rate Rate, maxKeys int) *keyLimiter[K] {
	return &keyLimiter[K]{rate: rate, max: maxKeys, places: make(map[K]int32)}
}

// take is as that of a limiter, for a key.
func (l *keyLimiter[K]) take(now int64, key K, n int) (allowed int) {
	if l.rate.PerSecond <= 0 {
		return n
	}
	place, known := l.places[key]
	if !known {
		place = l.add(key, now)
	}
	return l.buckets[place].take(l.rate, now, n)
}

// next is as that of a limiter, for a key.
func (l *keyLimiter[K]) next(now int64, key K) (at int64) {
	if place, known := l.places[key]; known {
		return l.buckets[place].next(l.rate, now)
	}
	return now
}

// set changes the rate of every key, as that of a limiter does. It takes time for each
// known key.
func (l *keyLimiter[K]) set(rate Rate, now int64) {
	for i := range l.buckets {
		l.buckets[i].reset(l.rate, rate, now)
	}
	l.rate = rate
}

// len returns the number of known keys.
func (l *keyLimiter[K]) len() int { return len(l.places) }

// add makes a key known and returns its place.
func (l *keyLimiter[K]) add(key K, now int64) int32 {
	for range min(looks, l.order.Len()) {
		place := l.order.Pop()
		if l.buckets[place].isFull(l.rate, now) {
			l.forget(place)
		} else {
			l.order.Push(place)
		}
	}
	if l.order.Len() >= l.max {
		l.forget(l.order.Pop())
		l.evicted++
	}
	var place int32
	if n := len(l.free); n > 0 {
		place, l.free = l.free[n-1], l.free[:n-1]
		l.keys[place], l.buckets[place] = key, full(l.rate)
	} else {
		place = int32(len(l.keys))
		l.keys, l.buckets = append(l.keys, key), append(l.buckets, full(l.rate))
	}
	l.places[key] = place
	l.order.Push(place)
	return place
}

// forget removes a key that order no longer has.
func (l *keyLimiter[K]) forget(place int32) {
	delete(l.places, l.keys[place])
	var none K
	l.keys[place] = none // it may refer to memory
	l.free = append(l.free, place)
}
