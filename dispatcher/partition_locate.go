package dispatcher

import (
	"fmt"
	"math"
	"slices"
)

// unsetPartition is what a place holds to which the hash function has written nothing. It
// is not a partition: there are at most as many, from 0 on.
const unsetPartition = math.MaxInt32

// locate returns the partition of each event, negative for none. What hashAll has written is
// not looked at yet.
func (p *Partition[T]) locate(events []T) []int32 {
	p.homes = slices.Grow(p.homes[:0], len(events))[:len(events)]
	if p.hashAll != nil {
		p.locateAll(events, p.homes)
		return p.homes
	}
	// A loop of its own, since a call of the hash function uses all registers.
	homes, hash := p.homes, p.hash
	for i := range homes {
		at, ok := hash(events[i])
		if !ok {
			at = -1
		} else if uint(at) >= uint(len(p.parts)) {
			panic(fmt.Sprintf("partition: the hash function returned %d, which is not %s", at, p.allowed))
		}
		homes[i] = int32(at)
	}
	return homes
}

// locateAll is locate for a hash function that takes all events at once.
func (p *Partition[T]) locateAll(events []T, homes []int32) {
	// Copied, which takes less time than a loop.
	for len(p.unset) < len(homes) {
		p.unset = append(p.unset, unsetPartition)
	}
	copy(homes, p.unset)
	p.hashAll(events, homes)
}

// refuse panics over what a hash function for many events has written, or has not.
func (p *Partition[T]) refuse(at int32) {
	if at == unsetPartition {
		panic("partition: the hash function has left out an event")
	}
	panic(fmt.Sprintf("partition: the hash function returned %d, which is not %s", at, p.allowed))
}
