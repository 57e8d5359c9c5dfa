package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// shareCore decides which records a member of a share group fetches and emits, and which
// ones a receipt is about. It is a pure state machine; Share.mu is held during calls.
//
// The client demands that all records of a poll have their verdict before the next one, so
// that there is one batch at a time.
type shareCore struct {
	owed    int // demand that has not been emitted yet
	base    uint64
	records []*kgo.Record // of the batch; its events have the numbers from base on
	judged  []bool        // by record
	emitted int           // the first ones of the batch
	open    int           // without a verdict
	ended   bool          // nothing more is fetched or emitted
}

// fetches reports whether the next batch is to be fetched.
func (c *shareCore) fetches() bool { return !c.ended && c.owed > 0 && c.open == 0 }

// take begins a batch.
func (c *shareCore) take(records []*kgo.Record) {
	c.base += uint64(len(c.records))
	c.records, c.emitted, c.open = records, 0, len(records)
	c.judged = append(c.judged[:0], make([]bool, len(records))...)
}

// emit returns the part of the batch that is to be emitted now.
func (c *shareCore) emit() (from, to int) {
	from = c.emitted
	if c.ended {
		return from, from
	}
	to = from + min(c.owed, len(c.records)-from)
	c.owed -= to - from
	c.emitted = to
	return from, to
}

// judge calls f for each record of the events from number first on that has no verdict
// yet, and returns how many these are. They stay open until settle.
func (c *shareCore) judge(first uint64, count int, f func(*kgo.Record)) (n int) {
	for number := max(first, c.base); number < first+uint64(count); number++ {
		i := int(number - c.base)
		if i >= c.emitted {
			break
		}
		if !c.judged[i] {
			c.judged[i] = true
			n++
			f(c.records[i])
		}
	}
	return n
}

// settle notes that the client has the verdicts on n records. It reports whether the batch
// is finished.
func (c *shareCore) settle(n int) bool {
	c.open -= n
	return c.open == 0
}

// unfinished returns the records without a verdict.
func (c *shareCore) unfinished() (list []*kgo.Record) {
	for i, r := range c.records {
		if !c.judged[i] {
			list = append(list, r)
		}
	}
	return list
}

// stalled reports whether nothing more can be emitted before there are receipts.
func (c *shareCore) stalled() bool { return c.open > 0 && c.emitted == len(c.records) }
