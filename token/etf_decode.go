package token

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// decodeTerm reads one term that fills b. It returns bool, nil, int64, uint64
// (for what an int64 cannot hold), float64, string (a binary), [Atom], [Tuple],
// []any and map[any]any with keys of string, Atom and integers. ok is false
// for everything else, including all terms for code, processes, ports, references
// or compressed data.
func decodeTerm(b []byte) (term any, ok bool) {
	if len(b) == 0 || b[0] != etfVersion {
		return nil, false
	}
	d := decoder{rest: b[1:], budget: len(b)}
	term = d.term(0)
	return term, !d.bad && len(d.rest) == 0
}

// decoder reads terms from rest. Once bad it stays bad and returns nothing. The
// zero values that its methods return when it is bad are never used for a term,
// since decodeTerm looks at bad last.
type decoder struct {
	rest []byte
	// budget is the number of terms that may still come. Each takes a byte, so
	// an honest input never exhausts it, and an input that claims more at every
	// level of nesting cannot make the decoder allocate more than that in all.
	budget int
	bad    bool
}

// fail makes the decoder bad and ends the input. It returns nil for the caller to
// return.
func (d *decoder) fail() any {
	d.bad, d.rest = true, nil
	return nil
}

// take returns the next n bytes, which share memory with the input, or nil if
// there are fewer.
func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.rest) {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// byte reads one byte, 0 if there is none.
func (d *decoder) byte() int {
	if b := d.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

// uint16 reads two bytes, 0 if there are fewer.
func (d *decoder) uint16() int {
	if b := d.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

// count reads the number of things of at least size bytes that follow. A number
// that cannot be true fails at once, before anything is allocated for it.
func (d *decoder) count(size int) int {
	b := d.take(4)
	if b == nil {
		return 0
	}
	// Compared without a sign: where an int has 32 bits a large number would be negative.
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(d.rest)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

// term reads the next term, which is nested in depth other terms. A tag that is
// not listed fails: no atom is created, no code loaded, nothing decompressed for
// an attacker, as with binary_to_term and its option safe.
func (d *decoder) term(depth int) any {
	if depth > maxDepth {
		return d.fail()
	}
	tag := d.byte()
	if d.bad {
		return nil
	}
	switch tag {
	case tagSmallInteger:
		return int64(d.byte())
	case tagInteger:
		if b := d.take(4); b != nil {
			return int64(int32(binary.BigEndian.Uint32(b)))
		}
	case tagSmallBig:
		return d.big()
	// Erlang has neither NaN nor infinities.
	case tagNewFloat:
		if b := d.take(8); b != nil {
			if f := math.Float64frombits(binary.BigEndian.Uint64(b)); !math.IsNaN(f) && !math.IsInf(f, 0) {
				return f
			}
		}
	case tagBinary:
		return string(d.take(d.count(1)))
	case tagSmallAtom, tagSmallAtomUTF8:
		return d.atom(d.byte(), tag == tagSmallAtomUTF8)
	case tagAtom, tagAtomUTF8:
		return d.atom(d.uint16(), tag == tagAtomUTF8)
	case tagSmallTuple:
		return Tuple(d.terms(d.byte(), depth))
	case tagLargeTuple:
		return Tuple(d.terms(d.count(1), depth))
	case tagNil:
		return []any{}
	// A list of integers below 256 is written as a string of at most 65,535 bytes.
	// It takes a byte for each element, but a Go interface for each in memory.
	case tagString: // how Erlang writes a list of bytes
		b := d.take(d.uint16())
		if !d.reserve(len(b)) {
			return nil
		}
		list := make([]any, len(b))
		for i, n := range b {
			list[i] = int64(n)
		}
		return list
	case tagList:
		list := d.terms(d.count(1), depth)
		if d.byte() == tagNil { // else it is an improper list
			return list
		}
	case tagMap:
		return d.mapping(depth)
	}
	return d.fail()
}

// reserve reports whether n more terms may be allocated, and takes them from the
// budget.
func (d *decoder) reserve(n int) bool {
	if d.bad || n > d.budget {
		d.fail()
		return false
	}
	d.budget -= n
	return true
}

// terms reads the n terms of a list or tuple. The room is reserved before it is
// allocated.
func (d *decoder) terms(n, depth int) []any {
	if !d.reserve(n) {
		return nil
	}
	all := make([]any, 0, n)
	for range n {
		all = append(all, d.term(depth+1))
		if d.bad {
			return nil
		}
	}
	return all
}

// mapping reads a map. A key that cannot be one of a Go map, and a key that comes
// twice, fail.
func (d *decoder) mapping(depth int) any {
	n := d.count(2) // a key and a value take a byte each at least
	if !d.reserve(2 * n) {
		return nil
	}
	m := make(map[any]any, n)
	for range n {
		key := d.term(depth + 1)
		switch key.(type) {
		case string, Atom, int64, uint64:
		default:
			return d.fail()
		}
		if _, twice := m[key]; twice {
			return d.fail()
		}
		m[key] = d.term(depth + 1)
		if d.bad {
			return nil
		}
	}
	return m
}

// atom reads an atom of n bytes in UTF-8 or Latin-1. The atoms true, false and nil
// become Go's values.
func (d *decoder) atom(n int, isUTF8 bool) any {
	b := d.take(n)
	if d.bad {
		return nil
	}
	name := string(b)
	if !isUTF8 {
		runes := make([]rune, len(b)) // Latin-1
		for i, c := range b {
			runes[i] = rune(c)
		}
		name = string(runes)
	} else if !utf8.ValidString(name) {
		return d.fail()
	}
	switch name {
	case "true":
		return true
	case "false":
		return false
	case "nil":
		return nil
	}
	return Atom(name)
}

// big reads an integer of up to 64 bits, its least byte first; larger ones fail.
func (d *decoder) big() any {
	n, sign := d.byte(), d.byte()
	b := d.take(n)
	if d.bad || n > 8 || sign > 1 {
		return d.fail()
	}
	var v uint64
	// The most significant byte is the last.
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	switch {
	case sign == 0 && v <= math.MaxInt64:
		return int64(v)
	case sign == 0:
		return v
	case v <= math.MaxInt64:
		return -int64(v)
	case v == 1<<63:
		return int64(math.MinInt64) // its magnitude exceeds an int64
	}
	return d.fail()
}
