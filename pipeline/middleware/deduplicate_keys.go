package middleware

import (
	"time"

	"github.com/penstock-go/penstock/internal/ring"
)

// verdict is what follows for an event with a key.
type verdict uint8

const (
	run       verdict = iota // it is the first: handle it, then finish the key
	wait                     // the first one is being handled
	duplicate                // the first one has succeeded
)

// keys decides which events are duplicates. It is pure: no lock and no clock; times are
// since any fixed moment and do not go back. A key is running from begin to finish, and
// then done, for window and as long as at most limit keys are done. Running keys are never
// forgotten: there are as many as attempts at once.
type keys struct {
	window time.Duration
	limit  int

	slots     map[string]int32
	records   []record
	free      []int32
	done      ring.Ring[int32] // by the time of their end
	running   int
	forgotten int64 // done keys that were dropped before window had passed
}

// record is one key.
type record struct {
	key  string
	done bool
	at   time.Duration // when it was done
}

func newKeys(window time.Duration, limit int) *keys {
	return &keys{window: window, limit: limit, slots: make(map[string]int32)}
}

// begin decides about an event at now. After run, finish must follow.
func (k *keys) begin(key string, now time.Duration) verdict {
	k.expire(now)
	if slot, known := k.slots[key]; known {
		if k.records[slot].done {
			return duplicate
		}
		return wait
	}
	var slot int32
	if n := len(k.free); n > 0 {
		slot, k.free = k.free[n-1], k.free[:n-1]
	} else {
		slot = int32(len(k.records))
		k.records = append(k.records, record{})
	}
	k.records[slot] = record{key: key}
	k.slots[key] = slot
	k.running++
	return run
}

// finish takes the end of an event for which begin has returned run. If it has not
// succeeded its key is forgotten, so that the next event with it is handled.
func (k *keys) finish(key string, succeeded bool, now time.Duration) {
	slot := k.slots[key]
	k.running--
	if !succeeded {
		k.drop(slot)
		return
	}
	k.records[slot].done, k.records[slot].at = true, now
	k.done.Push(slot)
	k.expire(now)
	for k.done.Len() > k.limit {
		k.forgotten++
		k.drop(k.done.Pop())
	}
}

// expire drops the keys whose window has passed.
func (k *keys) expire(now time.Duration) {
	for k.done.Len() > 0 && now-k.records[*k.done.At(0)].at >= k.window {
		k.drop(k.done.Pop())
	}
}

// drop forgets a key.
func (k *keys) drop(slot int32) {
	delete(k.slots, k.records[slot].key)
	k.records[slot] = record{}
	k.free = append(k.free, slot)
}
