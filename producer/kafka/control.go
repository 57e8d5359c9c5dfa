package kafka

// pass takes a control record, the mark that ends a transaction on its partition, and
// finishes it at once. Aborted records come before their mark and are not polled by a
// member that reads what is committed: the mark's offset is how the prefix gets past them.
func (c *core) pass(part *partition, offset int64, leaderEpoch int32) *partition {
	records := c.records
	part = c.take(part, offset, leaderEpoch, true)
	c.records = records // a mark is no record of the topic's
	part.tracker.finishRun(offset, 1)
	return part
}
