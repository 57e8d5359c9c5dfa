package redis

import (
	"encoding/binary"
	"time"
)

// Each message in a channel begins with a header:
//
//	version  1 byte
//	sender   8 bytes: a random number of the Run that sends
//	number   8 bytes: grows with each message of the sender
//
// A node drops messages of a version that it does not know. So a release that brings
// another version must still send the old one, until every node knows the new one.
const (
	headerVersion = 1
	headerSize    = 1 + 8 + 8
)

// blank is a header that the writer fills in when it sends.
var blank [headerSize]byte

// seal fills in the header of the next message.
func (s *session) seal(data []byte) (number uint64) {
	s.seq++
	data[0] = headerVersion
	binary.BigEndian.PutUint64(data[1:], s.sender)
	binary.BigEndian.PutUint64(data[9:], s.seq)
	return s.seq
}

// message is what has arrived in a channel, header included.
type message struct{ channel, data string }

func (m message) sender() uint64 { return number(m.data[1:9]) }
func (m message) number() uint64 { return number(m.data[9:headerSize]) }

func number(text string) (n uint64) {
	for i := range len(text) {
		n = n<<8 | uint64(text[i])
	}
	return n
}

// lateness finds messages that arrive after later ones of the same sender: Redis may read
// them from a connection that the sender has given up. It belongs to one goroutine.
type lateness struct {
	last  map[uint64]lastOf // by sender
	swept time.Time
}

type lastOf struct {
	number uint64
	at     time.Time
}

// forgetAfter is how long a sender is remembered that sends nothing, not even beats.
const forgetAfter = 5 * time.Minute

// late reports whether m is late.
func (l *lateness) late(m message, now time.Time) bool {
	if now.Sub(l.swept) > forgetAfter {
		l.swept = now
		for sender, e := range l.last {
			if now.Sub(e.at) > forgetAfter {
				delete(l.last, sender)
			}
		}
	}
	n := m.number()
	if n <= l.last[m.sender()].number {
		return true
	}
	l.last[m.sender()] = lastOf{n, now}
	return false
}
