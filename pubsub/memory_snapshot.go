package pubsub

// MemorySnapshot is the state of a [Memory] at one moment.
type MemorySnapshot struct {
	// Topics whose position is known. Subscribed of them have a subscription.
	Topics     int `json:"topics"`
	Subscribed int `json:"subscribed"`
	// Bytes of all payloads that are kept.
	Bytes int `json:"bytes"`
	// Forgotten counts the topics that were forgotten for MaxTopics since the
	// beginning: clients that come back to them are told that they cannot resume.
	Forgotten int64 `json:"forgotten"`
}

// Snapshot returns the state of the history. It does not block.
func (h *Memory) Snapshot() MemorySnapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return MemorySnapshot{
		Topics: len(h.topics), Subscribed: len(h.topics) - h.empty.Len() - h.idle.Len(), Bytes: h.bytes, Forgotten: h.forgotten,
	}
}
