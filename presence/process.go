package presence

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"time"
)

// process is one process of a node. The processes of a node are ordered: a later
// one takes the place of an earlier one.
//
// A process begins with the time of its clock as its generation, which makes it
// later than all before it, unless the clock was set back or is that of another
// machine. Then the other nodes refuse it and say which process they know, and it
// takes the next generation: see machine.outdated. So no clock decides.
type process struct {
	Generation int64 `json:"gen"`
	// ID is random: two processes that chose one generation are not the same.
	ID uint64 `json:"id"`
}

// newProcess returns the process that begins at a time of this node's clock.
func newProcess(now time.Time) process {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return process{max(now.UnixNano(), 0), binary.BigEndian.Uint64(id[:])}
}

// compare returns a negative number if p is earlier than q, and 0 if it is q.
func (p process) compare(q process) int {
	return cmp.Or(cmp.Compare(p.Generation, q.Generation), cmp.Compare(p.ID, q.ID))
}
