// Package heap is a binary heap of numbered members, the least key first, whose
// owner is told the place of each member, so that it can change or remove any of
// them.
package heap

import "cmp"

// Entry is a member of a heap.
type Entry[K cmp.Ordered] struct {
	// Key orders the members, and Tie those with equal keys.
	Key K
	Tie uint64
	// ID is the member's number.
	ID uint32
}

// before reports whether a leaves before b. It takes pointers, which keeps the
// sifting free of copies.
func before[K cmp.Ordered](a, b *Entry[K]) bool {
	return a.Key < b.Key || a.Key == b.Key && a.Tie < b.Tie
}

// Heap is a binary heap: Heap[0] is the least entry. The zero value is empty. The
// functions that move entries call moved for each one that has a new place; the
// owner keeps the places and passes them in again. A function that is stored once
// makes that free of allocation.
type Heap[K cmp.Ordered] []Entry[K]

// Push adds an entry. It takes O(log n), as do Set and Remove.
func (h *Heap[K]) Push(e Entry[K], moved func(id uint32, at int)) {
	*h = append(*h, e)
	h.up(len(*h)-1, e, moved)
}

// Set replaces the entry at a place.
// moved is called only if a place has changed.
func (h Heap[K]) Set(at int, e Entry[K], moved func(id uint32, at int)) {
	if at > 0 && before(&e, &h[(at-1)/2]) {
		h.up(at, e, moved)
	} else if child := h.child(at); child > 0 && before(&h[child], &e) {
		h.down(at, e, moved)
	} else {
		h[at] = e
	}
}

// child returns the lesser of the entries under a place, or 0 if there is none.
func (h Heap[K]) child(at int) int {
	child := 2*at + 1
	if child >= len(h) {
		return 0
	}
	if child+1 < len(h) && before(&h[child+1], &h[child]) {
		child++
	}
	return child
}

// Remove takes the entry at a place out. moved is not called for it.
func (h *Heap[K]) Remove(at int, moved func(id uint32, at int)) {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	if at == last {
		return
	}
	if h.Set(at, e, moved); (*h)[at].ID == e.ID {
		moved(e.ID, at) // which comes from the last place
	}
}

// up puts e at a place or nearer to the top.
func (h Heap[K]) up(at int, e Entry[K], moved func(id uint32, at int)) {
	for at > 0 {
		parent := (at - 1) / 2
		if !before(&e, &h[parent]) {
			break
		}
		h[at] = h[parent]
		moved(h[at].ID, at)
		at = parent
	}
	h[at] = e
	moved(e.ID, at)
}

// down puts e at a place or farther from the top.
func (h Heap[K]) down(at int, e Entry[K], moved func(id uint32, at int)) {
	for {
		child := h.child(at)
		if child == 0 || !before(&h[child], &e) {
			break
		}
		h[at] = h[child]
		moved(h[at].ID, at)
		at = child
	}
	h[at] = e
	moved(e.ID, at)
}
