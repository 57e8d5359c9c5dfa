package backplane

import "sync"

// Inbox holds what has arrived, of type M, until it is handled, in its order and in a
// bounded number of bytes. What does not fit is dropped, and a loss is noted in its
// place, so that it is known between which messages something is missing.
type Inbox[M any] struct {
	limit int
	wake  chan struct{} // of capacity 1

	mu      sync.Mutex
	list    []Arrival[M]
	size    int // bytes in list
	busy    int // bytes that Take has returned last, which are still handled
	dropped int64
}

// Arrival is a message, or the news of a loss.
type Arrival[M any] struct {
	Message M
	Lost    bool
}

// NewInbox makes an empty inbox for so many bytes.
func NewInbox[M any](limit int) *Inbox[M] {
	return &Inbox[M]{limit: limit, wake: make(chan struct{}, 1)}
}

// Wake has a value once something has arrived in an empty inbox.
func (in *Inbox[M]) Wake() <-chan struct{} { return in.wake }

// Add adds a message of so many bytes. It reports false if that was dropped. An empty
// inbox takes any message.
func (in *Inbox[M]) Add(m M, bytes int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	bytes += overhead
	if held := in.size + in.busy; held > 0 && held+bytes > in.limit {
		in.dropped++
		in.lose()
		return false
	}
	in.size += bytes
	in.push(Arrival[M]{Message: m})
	return true
}

// Lose notes that something is missing between what was added before and what comes.
func (in *Inbox[M]) Lose() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lose()
}

// lose notes a loss; two in a row are one. The mutex is held.
func (in *Inbox[M]) lose() {
	if n := len(in.list); n == 0 || !in.list[n-1].Lost {
		in.push(Arrival[M]{Lost: true})
	}
}

// push appends and wakes. The mutex is held.
func (in *Inbox[M]) push(a Arrival[M]) {
	in.list = append(in.list, a)
	if len(in.list) == 1 {
		select {
		case in.wake <- struct{}{}:
		default:
		}
	}
}

// Take returns all that waits. What an earlier call has returned is handled by now;
// used is its storage.
func (in *Inbox[M]) Take(used []Arrival[M]) []Arrival[M] {
	clear(used)
	in.mu.Lock()
	defer in.mu.Unlock()
	all := in.list
	in.list = used[:0]
	if cap(used) > maxInboxList {
		in.list = nil
	}
	in.busy, in.size = in.size, 0
	return all
}

// maxInboxList bounds the storage that is kept for a next time.
const maxInboxList = 1 << 14

// Bytes returns how many bytes wait or are handled, and how many messages were
// dropped so far.
func (in *Inbox[M]) Bytes() (bytes int, dropped int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.size + in.busy, in.dropped
}
