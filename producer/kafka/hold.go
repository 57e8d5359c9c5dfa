package kafka

// Pause stops the intake of partitions until Resume, also of those that this member gets
// later. Records that were polled before are still emitted, and receipts and commits go
// on. It returns at once, and may be called from any goroutine, also before the start.
func (p *Producer[T]) Pause(topic string, partitions ...int32) {
	p.mu.Lock()
	p.release(p.core.hold(keys(map[string][]int32{topic: partitions})))
}

// Resume ends the pause of partitions, as far as they are paused.
func (p *Producer[T]) Resume(topic string, partitions ...int32) {
	p.mu.Lock()
	p.release(p.core.unhold(keys(map[string][]int32{topic: partitions})))
}

// hold has the client fetch nothing of partitions, assigned or not.
func (c *core) hold(keys []topicPartition) orders {
	for _, key := range keys {
		c.held[key] = struct{}{}
	}
	c.steering = true
	return orders{look: true, now: true}
}

// unhold ends that.
func (c *core) unhold(keys []topicPartition) orders {
	for _, key := range keys {
		delete(c.held, key)
	}
	c.steering = true
	return orders{look: true, now: true}
}

// isHeld reports whether the program has paused a partition.
func (c *core) isHeld(key topicPartition) bool {
	_, held := c.held[key]
	return held
}

// steerHeld adds what has to be paused since it is held. The client remembers a pause also of partitions that this
// member does not have, so that nothing of a held one is polled when it comes.
func (c *core) steerHeld(t *turns) {
	for key := range c.held {
		if _, paused := c.paused[key]; !paused {
			c.paused[key] = struct{}{}
			t.pause = append(t.pause, key)
		}
	}
}
