package producer

import "time"

// QueueSnapshot holds a queue's counts at one moment. Those since the start add up:
// Pushed = Waiting + Taken + Discarded.
type QueueSnapshot struct {
	// Waiting is the number of events in the queue now.
	Waiting int `json:"waiting"`
	// Oldest is how long the first of them has waited at least, as far as snapshots know:
	// it begins with the first one that has found the event waiting.
	Oldest time.Duration `json:"oldest_ns"`
	// Pushed is the number of accepted events, including those that the overflow
	// policy dropped, Taken that of events the stage has emitted, Discarded that
	// of dropped events.
	Pushed    int64 `json:"pushed"`
	Taken     int64 `json:"taken"`
	Discarded int64 `json:"discarded"`
	// Blocked is the number of pushes that wait for room now. They are in none of
	// the counts above.
	Blocked int `json:"blocked"`
	// Unfinished is the number of accepted events without a receipt, and Bytes
	// their size, now. Both are 0 without Key and MaxBytes.
	Unfinished int   `json:"unfinished"`
	Bytes      int64 `json:"bytes"`
	// Keys is the number of keys with an unfinished event or a waiting push, and
	// FullKeys that of those with KeyMaxEvents unfinished events.
	Keys     int `json:"keys"`
	FullKeys int `json:"full_keys"`
	// Refused counts the pushes that returned an error, since the start.
	Refused QueueRefused `json:"refused"`
}

// QueueRefused counts refused pushes by reason. A Push whose context ended counts
// for what it waited for.
type QueueRefused struct {
	// Full: Capacity was reached. Key: KeyMaxEvents was. Bytes: MaxBytes was.
	Full  int64 `json:"full"`
	Key   int64 `json:"key_full"`
	Bytes int64 `json:"bytes_full"`
	// TooLarge: the event alone exceeds MaxBytes. Closed: the queue accepts
	// nothing more.
	TooLarge int64 `json:"too_large"`
	Closed   int64 `json:"closed"`
}

// Snapshot returns the queue's counts. It may be called from any goroutine.
func (q *Queue[T]) Snapshot() QueueSnapshot {
	q.mu.Lock()
	defer q.mu.Unlock()
	g, r := &q.gate, &q.refused.count
	waiting := q.events.Len()
	return QueueSnapshot{
		Waiting: waiting, Oldest: q.ages.oldest(time.Now(), q.entered-int64(waiting), q.entered), Pushed: q.pushed, Taken: q.taken, Discarded: q.discarded, Blocked: g.blocked,
		Unfinished: g.unfinished, Bytes: g.bytes, Keys: len(g.keys), FullKeys: g.fullKeys,
		Refused: QueueRefused{Full: r[full], Key: r[keyFull], Bytes: r[heavy], TooLarge: r[tooLarge], Closed: r[closed]},
	}
}
