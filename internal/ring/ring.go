// Package ring is a growing double-ended queue in one array.
package ring

// Ring is a queue that grows as needed and never shrinks by itself. The zero
// value is an empty ring. It is not safe for concurrent use.
type Ring[T any] struct {
	// The items are count from head on, modulo the length; all other places hold
	// zero values, so nothing in them is kept from the collector, except after Skip.
	count int // first, beside what the owner uses as often
	head  int
	items []T // length is a power of two, or zero
}

// Len returns the number of items.
func (r *Ring[T]) Len() int { return r.count }

// Push appends v at the back.
func (r *Ring[T]) Push(v T) {
	if r.count == len(r.items) {
		r.grow(1)
	}
	r.items[(r.head+r.count)&(len(r.items)-1)] = v
	r.count++
}

// PushAll appends vs at the back, in order.
func (r *Ring[T]) PushAll(vs []T) {
	if r.count+len(vs) > len(r.items) {
		r.grow(len(vs))
	}
	if len(vs) == 0 {
		return
	}
	at := (r.head + r.count) & (len(r.items) - 1)
	// In two pieces, if the free places go around the end.
	n := copy(r.items[at:], vs)
	copy(r.items, vs[n:])
	r.count += len(vs)
}

// Extend appends n items, which the caller fills in: they are the two returned
// slices, in order. Until then they hold zero values.
func (r *Ring[T]) Extend(n int) (first, second []T) {
	if r.count+n > len(r.items) {
		r.grow(n)
	}
	if n == 0 {
		return nil, nil
	}
	at := (r.head + r.count) & (len(r.items) - 1)
	r.count += n
	first = r.items[at:min(at+n, len(r.items))]
	return first, r.items[:n-len(first)]
}

// PushFront puts v before everything else.
func (r *Ring[T]) PushFront(v T) {
	if r.count == len(r.items) {
		r.grow(1)
	}
	r.head = (r.head - 1) & (len(r.items) - 1)
	r.items[r.head] = v
	r.count++
}

// At returns a pointer to the i-th item from the front, 0 ≤ i < Len, valid
// until the ring is changed.
func (r *Ring[T]) At(i int) *T {
	if uint(i) >= uint(r.count) {
		panic("ring: index out of range")
	}
	return &r.items[(r.head+i)&(len(r.items)-1)]
}

// Front returns the longest run at the front that is in one piece; it is empty
// only if the ring is. The slice is valid until the ring is changed. A loop of
// Front and Drop takes at most two turns.
func (r *Ring[T]) Front() []T {
	end := r.head + r.count
	if end > len(r.items) {
		end = len(r.items)
	}
	return r.items[r.head:end]
}

// Drop removes the first n items, n ≤ Len, and forgets what they pointed to.
func (r *Ring[T]) Drop(n int) {
	if n > r.count {
		panic("ring: drop of more than there is")
	}
	if n == 0 {
		return
	}
	end := r.head + n
	if end <= len(r.items) {
		clear(r.items[r.head:end])
	} else {
		clear(r.items[r.head:])
		clear(r.items[:end-len(r.items)])
	}
	r.head = end & (len(r.items) - 1)
	r.count -= n
}

// Skip is Drop for items that refer to no other memory: they are not cleared, so that Extend
// must not be used on the same ring.
func (r *Ring[T]) Skip(n int) {
	if n > r.count {
		panic("ring: drop of more than there is")
	}
	if n == 0 {
		return
	}
	r.head = (r.head + n) & (len(r.items) - 1)
	r.count -= n
}

// Pop removes and returns the first item, of which there must be one.
func (r *Ring[T]) Pop() T {
	p := r.At(0)
	v := *p
	var zero T
	*p = zero
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.count--
	return v
}

// Shift removes the first item, of which there must be one. It is Pop for an item that was
// read in its place, with At.
func (r *Ring[T]) Shift() {
	var zero T
	*r.At(0) = zero
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.count--
}

// grow makes room for by more items: it doubles the array, so an item is copied a
// bounded number of times on average. It moves the front to index 0.
func (r *Ring[T]) grow(by int) {
	size := max(8, 2*len(r.items))
	for size < r.count+by {
		size *= 2
	}
	items := make([]T, size)
	n := copy(items, r.Front())
	copy(items[n:r.count], r.items)
	r.items, r.head = items, 0
}
