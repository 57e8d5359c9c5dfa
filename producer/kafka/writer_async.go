package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TryWrite hands a record over without waiting. done is called once, from another
// goroutine or before TryWrite returns: with nil when the brokers have acknowledged
// the record, otherwise with the reason why they have not, which wraps
// kgo.ErrMaxBuffered if there was no room for the record. done must not block.
func (w *Writer) TryWrite(record *kgo.Record, done func(error)) {
	w.client.TryProduce(context.Background(), record, func(r *kgo.Record, err error) {
		if isRemade(err) {
			w.renewLater(r.Topic)
		}
		done(err)
	})
}

// Buffered is the number of records that wait for their acknowledgement.
func (w *Writer) Buffered() int { return int(w.client.BufferedProduceRecords()) }
