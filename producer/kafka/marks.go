package kafka

import "math/bits"

// marks is a sequence of positions, each of them open or marked. It keeps one bit
// for each position from the first open one on.
//
// Runs of positions are marked by the word, so that the usual receipts, which come
// in long runs, cost no step for each event.
type marks struct {
	bits []uint64 // a ring of positions; the length is a power of two
	base uint64   // the first open position, or next
	next uint64   // the position after the last one
	open int      // positions that are not marked
}

// extend adds n open positions at the end.
func (m *marks) extend(n int) {
	m.next += uint64(n)
	m.open += n
	if m.words() > len(m.bits) {
		m.grow()
	}
}

// words is the number of words that hold the positions from base on.
// The first and the last word may be used in part.
func (m *marks) words() int {
	if m.base == m.next {
		return 0
	}
	return int((m.next-1)/64 - m.base/64 + 1)
}

// grow makes the ring large enough for the positions from base to next. No two words of a
// ring share a place, so that they can be copied whole.
func (m *marks) grow() {
	old := m.bits
	size := max(4, len(old))
	for size < m.words() {
		size *= 2
	}
	m.bits = make([]uint64, size)
	for i := range min(len(old), m.words()) {
		at := m.base/64 + uint64(i)
		m.bits[at&uint64(size-1)] = old[at&uint64(len(old)-1)]
	}
}

// word returns the word that holds a position from base on.
func (m *marks) word(position uint64) *uint64 {
	return &m.bits[position/64&uint64(len(m.bits)-1)]
}

// stretch returns the first run of open positions between from and end, n = 0 if
// there is none.
func (m *marks) stretch(from, end uint64) (at uint64, n int) {
	from, end = max(from, m.base), min(end, m.next)
	for at = from; at < end; {
		shift := at % 64
		if open := ^*m.word(at) >> shift; open != 0 {
			at += uint64(bits.TrailingZeros64(open))
			break
		}
		at += 64 - shift
	}
	to := at
	for to < end {
		shift := to % 64
		k := min(uint64(bits.TrailingZeros64(*m.word(to)>>shift)), 64-shift)
		to += k
		if to%64 != 0 || k == 0 {
			break // at a marked one, or after end
		}
	}
	if to = min(to, end); to <= at {
		return at, 0
	}
	return at, int(to - at)
}

// mark marks n open positions that follow each other, from at on, and moves base over all
// that is marked. Bits are cleared as base passes them: the ring uses their places again.
func (m *marks) mark(at uint64, n int) {
	m.open -= n
	for end := at + uint64(n); at < end; {
		shift := at % 64
		k := min(64-shift, end-at)
		*m.word(at) |= ^uint64(0) >> (64 - k) << shift
		at += k
	}
	// A whole word is passed at a time.
	for m.base < m.next {
		word, shift := m.word(m.base), m.base%64
		k := min(uint64(bits.TrailingZeros64(^(*word >> shift))), 64-shift, m.next-m.base)
		if k == 0 {
			break
		}
		*word &^= ^uint64(0) >> (64 - k) << shift // for the positions that use it next
		m.base += k
	}
}
