package fair

const (
	chunkBits = 9
	chunk     = 1 << chunkBits
	chunkMask = chunk - 1
)

// slab is a growing array that never moves what it holds: pointers into it
// stay good, growth copies nothing, and nothing is allocated but one chunk for
// every 512 elements. Index 0 is never used, so that 0 can mean nothing.
type slab[E any] struct {
	chunks []*[chunk]E
}

// at is element i, which must be below what was grown to.
func (s *slab[E]) at(i uint32) *E {
	return &s.chunks[i>>chunkBits][i&chunkMask]
}

// reach makes index i usable.
func (s *slab[E]) reach(i uint32) {
	for int(i>>chunkBits) >= len(s.chunks) {
		s.chunks = append(s.chunks, new([chunk]E))
	}
}

// trim gives back all chunks but the first keep.
func (s *slab[E]) trim(keep int) {
	if len(s.chunks) > keep {
		clear(s.chunks[keep:])
		s.chunks = s.chunks[:keep]
	}
}

// keepChunks is how many chunks of each slab are kept when the last key is
// forgotten: enough that a quiet service does not allocate again and again.
const keepChunks = 16
