package fair

const (
	chunkBits = 9
	chunk     = 1 << chunkBits
	chunkMask = chunk - 1
)

// slab is a growing array that never moves its elements: pointers into it stay
// valid, growth copies nothing, and allocates one chunk for every 512 elements.
// Index 0 is never used, so that 0 can mean none. Growth has no peak either: an
// appended slice of a million slots would be copied in the middle of a dispatch.
type slab[E any] struct {
	chunks []*[chunk]E
}

// at returns element i, which reach must have made usable.
func (s *slab[E]) at(i uint32) *E {
	return &s.chunks[i>>chunkBits][i&chunkMask]
}

// reach makes index i usable. It allocates at most the chunks up to i.
func (s *slab[E]) reach(i uint32) {
	for int(i>>chunkBits) >= len(s.chunks) {
		s.chunks = append(s.chunks, new([chunk]E))
	}
}

// trim releases all chunks but the first keep.
func (s *slab[E]) trim(keep int) {
	if len(s.chunks) > keep {
		clear(s.chunks[keep:])
		s.chunks = s.chunks[:keep]
	}
}

// keepChunks is the number of chunks of each slab that are kept when the last key
// is forgotten: enough that a quiet service does not allocate again and again.
const keepChunks = 16
