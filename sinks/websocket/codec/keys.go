package codec

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// fewKeys is how many keys of an object are compared one by one, before a table is
// made.
const fewKeys = 8

// seed keeps secret which keys collide in a table, so that a client cannot choose
// keys that make each look-up scan the table.
var seed = maphash.MakeSeed()

// keySet holds the keys of one object. It refuses duplicates: JSON parsers differ
// in which of two values they take, so that the code which checks a message and
// the code which acts on it could see different values.
// The zero value is an empty set. Up to fewKeys it allocates nothing.
type keySet struct {
	n     int
	few   [fewKeys]span
	table []uint32 // a power of two long, at most three quarters full
}

// add returns false if the set has the key already.
func (k *keySet) add(s *scanner, key span) bool {
	k.n++
	if k.n <= fewKeys {
		for _, other := range k.few[:k.n-1] {
			if s.same(other, key) {
				return false
			}
		}
		k.few[k.n-1] = key
		return true
	}
	if 4*k.n > 3*len(k.table) {
		k.grow(s)
	}
	return k.put(s, key)
}

// grow doubles the table, or makes the first one from the few keys. Its entries hold
// only a part of the hash, so each key is hashed again.
func (k *keySet) grow(s *scanner) {
	old := k.table
	k.table = make([]uint32, max(4*fewKeys, 2*len(old)))
	// The first table: the keys so far are in few, and nowhere else.
	if old == nil {
		for _, key := range k.few {
			k.put(s, key)
		}
	}
	for _, entry := range old {
		if entry != 0 {
			k.put(s, s.keyAt(int(entry)&s.places()))
		}
	}
}

// put adds a key to the table, and returns false if it is there already. An entry
// is the position of the key and, in the bits above that, a part of its hash. It
// is never 0, since a key comes after its quote.
func (k *keySet) put(s *scanner, key span) bool {
	places := s.places()
	hash := maphash.Bytes(seed, s.plain(&s.scratch[0], key))
	entry := uint32(hash>>32)&^uint32(places) | uint32(key.from)
	// Linear probing: a free place is always found, since a quarter of the
	// table is empty.
	mask := len(k.table) - 1
	for at := int(hash) & mask; ; at = (at + 1) & mask {
		switch other := k.table[at]; {
		case other == 0:
			k.table[at] = entry
			return true
		case (other^entry)&^uint32(places) == 0 && s.same(s.keyAt(int(other)&places), key):
			return false
		}
	}
}

// places returns a mask for the positions in the input.
func (s *scanner) places() int { return 1<<bits.Len(uint(len(s.data))) - 1 }

// keyAt returns the key that begins at from and has been scanned before.
func (s *scanner) keyAt(from int) span {
	// from is the first byte of the key's inside, and text expects the quote.
	at := scanner{data: s.data, pos: from - 1}
	sp, _ := at.text()
	return sp
}

// same reports whether two keys are equal, with or without escapes.
func (s *scanner) same(a, b span) bool {
	return bytes.Equal(s.plain(&s.scratch[0], a), s.plain(&s.scratch[1], b))
}
