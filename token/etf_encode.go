package token

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// encodeTerm returns v in the external term format. nil and bool become atoms,
// string and []byte binaries; maps are written in Erlang's order of keys. A type
// that is not listed is an error, never left out.
func encodeTerm(v any) ([]byte, error) { return appendTerm([]byte{etfVersion}, v, 0) }

// appendTerm appends v, which is nested in depth other terms. After an error the
// result is nil: b may have been written to.
func appendTerm(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("token: data is nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return appendAtom(b, "nil")
	case bool:
		if v {
			return appendAtom(b, "true")
		}
		return appendAtom(b, "false")
	case Atom:
		return appendAtom(b, string(v))
	case string:
		return appendBinary(b, v)
	case []byte:
		return appendBinary(b, v)
	case int:
		return appendInteger(b, int64(v)), nil
	case int32:
		return appendInteger(b, int64(v)), nil
	case int64:
		return appendInteger(b, v), nil
	case uint32:
		return appendInteger(b, int64(v)), nil
	// An integer above the range of int64 comes back as uint64.
	case uint64:
		if v <= math.MaxInt64 {
			return appendInteger(b, int64(v)), nil
		}
		return appendBig(b, v, 0), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("token: data cannot hold %v", v)
		}
		return binary.BigEndian.AppendUint64(append(b, tagNewFloat), math.Float64bits(v)), nil
	case Tuple:
		if len(v) > 255 {
			return nil, fmt.Errorf("token: data holds a tuple of %d terms, want 255 at most", len(v))
		}
		return appendAll(append(b, tagSmallTuple, byte(len(v))), v, depth)
	case []any:
		return appendList(b, v, depth)
	case []string:
		return appendList(b, v, depth)
	case map[string]any:
		return appendMap(b, v, depth)
	case map[any]any:
		return appendMap(b, v, depth)
	}
	return nil, fmt.Errorf("token: data cannot hold a %T", v)
}

// appendAll appends the terms of a list or tuple.
func appendAll[T any](b []byte, terms []T, depth int) (_ []byte, err error) {
	for _, t := range terms {
		if b, err = appendTerm(b, t, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendAtom appends an atom in UTF-8. Its name has at most 255 bytes, the limit
// of the small tag and, in characters, of Erlang.
func appendAtom(b []byte, name string) ([]byte, error) {
	if len(name) > 255 {
		return nil, fmt.Errorf("token: data holds an atom of %d bytes, want 255 at most", len(name))
	}
	return append(append(b, tagSmallAtomUTF8, byte(len(name))), name...), nil
}

// appendBinary appends a binary. One that exceeds MaxBytes cannot fit into any
// token, so it is refused before it is copied.
func appendBinary[S string | []byte](b []byte, s S) ([]byte, error) {
	if len(s) > MaxBytes {
		return nil, fmt.Errorf("token: data holds %d bytes in one, want %d at most", len(s), MaxBytes)
	}
	return append(appendCount(append(b, tagBinary), len(s)), s...), nil
}

// appendCount appends a length or a number of elements in four bytes, big endian.
func appendCount(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

// appendInteger appends n in the shortest form, as Erlang does: the bytes that are
// signed must be those that Phoenix would sign.
func appendInteger(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n <= math.MaxUint8:
		return append(b, tagSmallInteger, byte(n))
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(append(b, tagInteger), uint32(int32(n)))
	case n < 0:
		return appendBig(b, uint64(-(n+1))+1, 1) // -n, which may exceed an int64
	}
	return appendBig(b, uint64(n), 0)
}

// appendBig appends an integer as its magnitude, the least byte first, and a sign
// of 0 or 1.
func appendBig(b []byte, magnitude uint64, sign byte) []byte {
	at := len(b) + 1 // the place of the number of bytes
	b = append(b, tagSmallBig, 0, sign)
	for ; magnitude > 0; magnitude >>= 8 {
		b = append(b, byte(magnitude))
		b[at]++
	}
	return b
}

// appendList appends a proper list, which ends with an empty one.
func appendList[T any](b []byte, terms []T, depth int) ([]byte, error) {
	if len(terms) == 0 {
		return append(b, tagNil), nil
	}
	b, err := appendAll(appendCount(append(b, tagList), len(terms)), terms, depth)
	return append(b, tagNil), err
}

// appendMap appends a map. Go's maps have no order, so the keys are sorted as
// Erlang sorts the keys of a small map. Erlang keeps maps of up to 32 keys in that
// order. A larger map is valid too, but other bytes than Phoenix would sign.
func appendMap[K comparable](b []byte, m map[K]any, depth int) ([]byte, error) {
	b = appendCount(append(b, tagMap), len(m))
	type pair struct {
		rank int // integers come before atoms, atoms before binaries
		n    int64
		s    string
		key  any
		v    any
	}
	// rank, n and s are the order; key is normalised, so that int and int64 are
	// one type.
	pairs := make([]pair, 0, len(m))
	for key, v := range m {
		p := pair{key: any(key), v: v}
		switch k := p.key.(type) {
		case int:
			p.key, p.n = int64(k), int64(k)
		case int64:
			p.n = k
		case Atom:
			p.rank, p.s = 1, string(k)
		case string:
			p.rank, p.s = 2, k
		default:
			return nil, fmt.Errorf("token: data holds a map with a key of type %T, want string, Atom, int or int64", key)
		}
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.n, b.n), cmp.Compare(a.s, b.s))
	})
	for i, p := range pairs {
		// int and int64 keys may be equal as Erlang integers.
		if i > 0 && p.key == pairs[i-1].key {
			return nil, fmt.Errorf("token: data holds a map with the key %v twice", p.key)
		}
		var err error
		if b, err = appendTerm(b, p.key, depth+1); err != nil {
			return nil, err
		}
		if b, err = appendTerm(b, p.v, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}
