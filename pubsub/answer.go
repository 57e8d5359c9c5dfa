package pubsub

import (
	"encoding/binary"
	"slices"
)

// answer is what became of one delivery on another node.
type answer struct {
	id   uint64 // of the delivery, chosen by its origin
	err  error  // nil, or one of ranks
	kept bool   // the node's history has the message
}

// The codes of outcomes in the wire form. A code that is not listed, as a later
// release may send, is read as ErrGone.
var answerCodes = []error{0: nil, 1: ErrNoSubscriber, 2: ErrUnfit, 3: ErrGone, 4: ErrFull, 5: ErrSuperseded, 6: errLate, 7: errAbsent}

const (
	answerSize = 9
	answerKept = 0x80 // in the byte of the code
)

// append appends the wire form: the id and a byte for outcome and kept. An error
// without a code, such as ErrNoAnswer of a subscriber, is sent as ErrGone.
func (a answer) append(dst []byte) []byte {
	at := slices.Index(answerCodes, a.err)
	if at < 0 {
		at = slices.Index(answerCodes, ErrGone)
	}
	code := byte(at)
	if a.kept {
		code |= answerKept
	}
	return append(binary.BigEndian.AppendUint64(dst, a.id), code)
}

// answer reads the wire form. What is cut short makes the reader bad, which its
// caller checks.
func (r *reader) answer() answer {
	a := answer{id: r.fixed(), err: ErrGone}
	code := r.byte()
	a.kept = code&answerKept != 0
	if code &^= answerKept; int(code) < len(answerCodes) {
		a.err = answerCodes[code]
	}
	return a
}
