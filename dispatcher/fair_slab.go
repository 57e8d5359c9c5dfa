package dispatcher

const (
	fairChunkBits = 9
	fairChunk     = 1 << fairChunkBits
	fairChunkMask = fairChunk - 1
)

// fairSlab is a growing array that never moves what it holds: pointers into it
// stay good, growth copies nothing, and nothing is allocated but one chunk for
// every 512 elements. Index 0 is never used, so that 0 can mean nothing.
type fairSlab[E any] struct {
	chunks []*[fairChunk]E
}

// at is element i, which must be below what was grown to.
func (s *fairSlab[E]) at(i uint32) *E {
	return &s.chunks[i>>fairChunkBits][i&fairChunkMask]
}

// reach makes index i usable.
func (s *fairSlab[E]) reach(i uint32) {
	for int(i>>fairChunkBits) >= len(s.chunks) {
		s.chunks = append(s.chunks, new([fairChunk]E))
	}
}

// trim gives back all chunks but the first keep.
func (s *fairSlab[E]) trim(keep int) {
	if len(s.chunks) > keep {
		clear(s.chunks[keep:])
		s.chunks = s.chunks[:keep]
	}
}

// fairKeepChunks is how many chunks of each slab are kept when the last key is
// forgotten: enough that a quiet service does not allocate again and again.
const fairKeepChunks = 16
