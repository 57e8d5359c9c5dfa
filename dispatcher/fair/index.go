package fair

import "hash/maphash"

// keyIndex finds the slot of a key. It is an open-addressing table with a
// seeded hash, cut into 256 parts that grow one by one, so no single
// insertion moves a million keys. A cell is the key's 32-bit hash and
// its slot; the keys themselves are in a slab, once. Removing a key moves the
// cells after it up (Knuth, TAOCP vol. 3, 6.4 R): there are no tombstones, so a
// table through which ten million keys pass is only as large as the most keys in
// it at once.
type keyIndex[K comparable] struct {
	seed  maphash.Seed
	parts *[256]indexPart
	keys  slab[K]
}

// indexPart is one of the 256 tables, chosen by the top byte of the hash. The low
// bits choose the cell, so the two are independent.
type indexPart struct {
	cells []uint64 // hash<<32 | slot; 0 is empty
	n     int
}

// init makes an empty index. The seed is random for each dispatcher, so keys that
// collide cannot be chosen from outside.
func (x *keyIndex[K]) init(seed maphash.Seed) {
	x.seed = seed
	x.parts = new([256]indexPart)
}

// hash returns the key's hash, which callers pass on so that it is computed once
// for each event.
func (x *keyIndex[K]) hash(key K) uint32 {
	return uint32(maphash.Comparable(x.seed, key))
}

// find returns the slot of key, or 0.
func (x *keyIndex[K]) find(key K, hash uint32) uint32 {
	cells := x.parts[hash>>24].cells
	if len(cells) == 0 {
		return 0
	}
	mask := uint32(len(cells) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		cell := cells[i]
		if cell == 0 {
			return 0
		}
		if uint32(cell>>32) == hash && *x.keys.at(uint32(cell)) == key {
			return uint32(cell)
		}
	}
}

// insert adds a key that find does not know. A part grows at three quarters full.
func (x *keyIndex[K]) insert(key K, hash, slot uint32) {
	x.keys.reach(slot)
	*x.keys.at(slot) = key
	p := &x.parts[hash>>24]
	if 4*(p.n+1) > 3*len(p.cells) {
		p.grow()
	}
	p.put(uint64(hash)<<32 | uint64(slot))
	p.n++
}

// grow doubles a part. 8 cells are the least.
func (p *indexPart) grow() {
	old := p.cells
	p.cells = make([]uint64, max(8, 2*len(old)))
	for _, cell := range old {
		if cell != 0 {
			p.put(cell)
		}
	}
}

// put stores a cell in the first free place from its home on. There must be one.
func (p *indexPart) put(cell uint64) {
	mask := uint32(len(p.cells) - 1)
	i := uint32(cell>>32) & mask
	for p.cells[i] != 0 {
		i = (i + 1) & mask
	}
	p.cells[i] = cell
}

// remove removes the key of slot. It looks for the slot rather than the key, so it
// also finds keys that are not equal to themselves.
func (x *keyIndex[K]) remove(hash, slot uint32) {
	var zero K
	*x.keys.at(slot) = zero
	p := &x.parts[hash>>24]
	mask := uint32(len(p.cells) - 1)
	i := hash & mask
	// The slot is in the part, so the search ends.
	for uint32(p.cells[i]) != slot {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		cell := p.cells[j]
		if cell == 0 {
			break
		}
		// The cell may move to i unless its home is between i and itself.
		if home := uint32(cell>>32) & mask; (j-home)&mask >= (j-i)&mask {
			p.cells[i] = cell
			i = j
		}
	}
	p.cells[i] = 0
	p.n--
}

// trim releases the memory of an empty index beyond keep chunks of keys and as
// many cells.
func (x *keyIndex[K]) trim(keep int) {
	x.keys.trim(keep)
	for i := range x.parts {
		if p := &x.parts[i]; p.n == 0 && len(p.cells) > keep*chunk/len(x.parts) {
			p.cells = nil
		}
	}
}
