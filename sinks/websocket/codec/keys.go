package codec

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// fewKeys is how many keys of an object are compared one by one, without
// memory of their own.
const fewKeys = 8

// seed makes it a secret which keys collide in a table.
var seed = maphash.MakeSeed()

// keySet are the keys of one object that have been read. It refuses one that
// comes twice: readers of JSON differ in which of the two values they take, so
// that who checks a message and who acts on it could see different ones.
type keySet struct {
	n     int
	few   [fewKeys]span
	table []uint32 // a power of two long, at most three quarters full
}

// add answers false if the key is there already.
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

// grow makes a larger table of the keys that are there.
func (k *keySet) grow(s *scanner) {
	old := k.table
	k.table = make([]uint32, max(4*fewKeys, 2*len(old)))
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

// put answers false if the key is there already. An entry is where the key
// begins and, in the bits above, a part of its hash; it is never 0, since a key
// begins behind its quote.
func (k *keySet) put(s *scanner, key span) bool {
	places := s.places()
	hash := maphash.Bytes(seed, s.plain(&s.scratch[0], key))
	entry := uint32(hash>>32)&^uint32(places) | uint32(key.from)
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

// places is a mask for every position in the input.
func (s *scanner) places() int { return 1<<bits.Len(uint(len(s.data))) - 1 }

// keyAt is the key that begins at from, which has been walked over.
func (s *scanner) keyAt(from int) span {
	at := scanner{data: s.data, pos: from - 1}
	sp, _ := at.text()
	return sp
}

// same tells whether two keys are one, however they are written.
func (s *scanner) same(a, b span) bool {
	return bytes.Equal(s.plain(&s.scratch[0], a), s.plain(&s.scratch[1], b))
}

// plain is the inside of a string that has been walked over, without escapes.
// It lies in the input, or in scratch.
func (s *scanner) plain(scratch *[]byte, sp span) []byte {
	if !sp.escaped {
		return s.data[sp.from:sp.to]
	}
	out := (*scratch)[:0]
	for in := s.data[sp.from:sp.to]; len(in) > 0; {
		if n := bytes.IndexByte(in, '\\'); n != 0 {
			if n < 0 {
				n = len(in)
			}
			out, in = append(out, in[:n]...), in[n:]
			continue
		}
		c := in[1]
		in = in[2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(in)
			in = in[4:]
			if utf16.IsSurrogate(r) { // the second half follows
				low, _ := hex4(in[2:])
				r, in = utf16.DecodeRune(r, low), in[6:]
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	*scratch = out
	return out
}
