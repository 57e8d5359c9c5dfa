package stage

// bitmap is a set of positions within a window that moves forward. It holds no memory
// until the first position is set. The owner keeps the base of the window, and clears each
// position before base moves past it, so that its place can be used again.
type bitmap struct {
	words []uint64 // a ring of positions; the length is a power of two
	count int
}

// slot returns the place of a position: two positions of one window never share a place,
// since the ring is at least as long as the window.
func (b *bitmap) slot(position uint64) (word int, bit uint64) {
	at := position & (uint64(len(b.words))*64 - 1)
	return int(at / 64), 1 << (at % 64)
}

// has reports whether a position of the window from base on is set.
func (b *bitmap) has(position, base uint64) bool {
	if b.count == 0 || position-base >= uint64(len(b.words))*64 {
		return false
	}
	word, bit := b.slot(position)
	return b.words[word]&bit != 0
}

// set adds a position to a window from base up to, and without, end.
func (b *bitmap) set(position, base, end uint64) {
	// Two positions of the window would share a bit otherwise.
	if end-base > uint64(len(b.words))*64 {
		b.grow(base, end)
	}
	word, bit := b.slot(position)
	b.words[word] |= bit
	b.count++
}

// clear removes the first position of the window and reports whether it was set.
func (b *bitmap) clear(base uint64) bool {
	if !b.has(base, base) {
		return false
	}
	word, bit := b.slot(base)
	b.words[word] &^= bit
	b.count--
	return true
}

// grow makes the ring large enough for the window from base to end.
func (b *bitmap) grow(base, end uint64) {
	old := *b
	size := max(2, 2*len(old.words))
	for uint64(size)*64 < end-base {
		size *= 2
	}
	b.words = make([]uint64, size)
	if old.count == 0 {
		return
	}
	// The old window was as long as the old ring at most.
	for position := base; position < base+uint64(len(old.words))*64; position++ {
		if old.has(position, base) {
			word, bit := b.slot(position)
			b.words[word] |= bit
		}
	}
}
