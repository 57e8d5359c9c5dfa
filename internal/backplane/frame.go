package backplane

import (
	"encoding/binary"
	"errors"
	"time"
)

// The kinds of frames, the messages by which the members of a cluster know each other.
const (
	// KindBeat goes to all members from time to time, and to a new one at once.
	KindBeat = 1 + iota
	// KindBye goes to all members at an orderly end.
	KindBye
	// KindClaim asks for a name: it goes to the node that has it.
	KindClaim
	// KindTaken refuses a claim, or ends a member whose name another one has.
	KindTaken
	// KindSync asks all members for a KindSynced with the same number.
	KindSync
	KindSynced
	kinds
)

// Frame is a message between members. The wire form: a byte each for version and
// kind, the texts with their length in front, numbers as unsigned varints.
type Frame struct {
	Kind byte
	// Node is the name of the sender, Instance what two processes of that
	// name differ in.
	Node, Instance string
	// Server is that which the sender is connected to; empty if there is one only.
	Server string
	// Started is when the sender joined the cluster.
	Started time.Time
	// Beat counts the beats to all, from 1 on. Link grows whenever messages of the
	// sender may have been lost before they left it.
	Beat, Link uint64
	// Number is that of a KindSync and its KindSynced.
	Number uint64
}

// frameVersion is the first byte. A member drops frames of other versions, so that a
// release with another one must send both for a time.
const frameVersion = 1

// maxText bounds a text of a frame.
const maxText = 1024

// ErrVersion reports a frame of an unknown version, ErrMalformed any other that cannot
// be read.
var (
	ErrVersion   = errors.New("backplane: frame of an unknown version")
	ErrMalformed = errors.New("backplane: malformed frame")
)

// Append appends the wire form.
func (f Frame) Append(dst []byte) []byte {
	dst = append(dst, frameVersion, f.Kind)
	for _, s := range []string{f.Node, f.Instance, f.Server} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	for _, n := range []uint64{uint64(f.Started.UnixNano()), f.Beat, f.Link, f.Number} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

// ReadFrame reads the wire form. What follows it is ignored, as a later release may
// add to it. An unknown kind is no error.
func ReadFrame(data []byte) (Frame, error) {
	if len(data) < 2 {
		return Frame{}, ErrMalformed
	}
	if data[0] != frameVersion {
		return Frame{}, ErrVersion
	}
	f := Frame{Kind: data[1]}
	data = data[2:]
	for _, s := range []*string{&f.Node, &f.Instance, &f.Server} {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > maxText || n > uint64(len(data)-size) {
			return Frame{}, ErrMalformed
		}
		data = data[size:]
		*s, data = string(data[:n]), data[n:]
	}
	var started uint64
	for _, v := range []*uint64{&started, &f.Beat, &f.Link, &f.Number} {
		n, size := binary.Uvarint(data)
		if size <= 0 {
			return Frame{}, ErrMalformed
		}
		*v, data = n, data[size:]
	}
	f.Started = time.Unix(0, int64(started)) // any number is a time
	if f.Node == "" || f.Instance == "" {
		return Frame{}, ErrMalformed
	}
	return f, nil
}
