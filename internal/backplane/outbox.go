package backplane

import "sync"

// Outbox holds messages until they are sent, in their order, in a bounded number of
// bytes. It never blocks: what does not fit takes the place of the oldest. Its
// storage is two blocks of bytes that change places, so that a message costs no
// allocation of its own.
type Outbox struct {
	limit int

	mu      sync.Mutex
	list    []Parcel // the first skip are dropped
	data    []byte   // of all of list
	skip    int
	size    int // bytes that count
	dropped int64
}

// Parcel is a message with where it goes.
type Parcel struct {
	Subject string
	// ID is that of a delivery, or 0.
	ID   uint64
	from int // in the outbox's bytes
	to   int
	data []byte
}

// Data returns the bytes of a parcel that Take has returned.
func (p Parcel) Data() []byte { return p.data[p.from:p.to] }

// overhead is counted for each message besides its bytes.
const overhead = 64

// NewOutbox makes an empty outbox for so many bytes.
func NewOutbox(limit int) *Outbox { return &Outbox{limit: limit} }

// Add adds the bytes that encode appends. A message of more than most bytes is not
// added: its size is returned, and 0 otherwise. first is set if the outbox was
// empty, dropped is how many messages had to make room.
func (o *Outbox) Add(subject string, id uint64, most int, encode func(dst []byte) []byte) (tooLarge int, first bool, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	from := len(o.data)
	o.data = encode(o.data)
	if n := len(o.data) - from; n > most {
		o.data = o.data[:from]
		return n, false, 0
	}
	p := Parcel{Subject: subject, ID: id, from: from, to: len(o.data)}
	o.list = append(o.list, p)
	o.size += p.size()
	first = len(o.list)-o.skip == 1
	for o.size > o.limit && len(o.list)-o.skip > 1 {
		o.size -= o.list[o.skip].size()
		o.skip++
		dropped++
	}
	o.dropped += int64(dropped)
	if o.skip > 0 && o.skip >= len(o.list)/2 {
		o.compact()
	}
	return 0, first, dropped
}

// compact gives back the storage of what was dropped. The mutex is held.
func (o *Outbox) compact() {
	at := o.list[o.skip].from
	o.data = o.data[:copy(o.data, o.data[at:])]
	o.list = o.list[:copy(o.list, o.list[o.skip:])]
	for i := range o.list {
		o.list[i].from -= at
		o.list[i].to -= at
	}
	o.skip = 0
}

func (p Parcel) size() int { return p.to - p.from + overhead + len(p.Subject) }

// Block is what Take has returned, with its storage.
type Block struct {
	Parcels []Parcel
	list    []Parcel
	data    []byte
}

// Take returns all messages and empties the outbox, which gets the storage of used,
// an earlier block that is needed no more.
func (o *Outbox) Take(used Block) Block {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) == o.skip {
		return Block{list: used.list, data: used.data}
	}
	b := Block{Parcels: o.list[o.skip:], list: o.list, data: o.data}
	for i := range b.Parcels {
		b.Parcels[i].data = o.data
	}
	clear(used.list)
	o.list, o.data, o.skip, o.size = used.list[:0], keep(used.data), 0, 0
	return b
}

// keepBytes is how large a block may be that is used again.
const keepBytes = 1 << 20

func keep(data []byte) []byte {
	if cap(data) > keepBytes {
		return nil
	}
	return data[:0]
}

// Dropped returns how many messages had to make room for others so far.
func (o *Outbox) Dropped() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// Len returns the messages that wait, and their bytes.
func (o *Outbox) Len() (messages, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.list) - o.skip, o.size
}
