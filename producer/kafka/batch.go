package kafka

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// BatchError reports a batch of records that cannot be read: it is corrupt, is compressed
// in a way that is not known, or has more than 64 MiB uncompressed.
type BatchError struct {
	Topic     string
	Partition int32
	// Offset is the first offset of the batch, Next the first one after it.
	Offset, Next int64
	Err          error
}

// Error implements error.
func (e *BatchError) Error() string {
	return fmt.Sprintf("kafka: batch of topic %q, partition %d, offsets %d to %d cannot be read: %v", e.Topic, e.Partition, e.Offset, e.Next-1, e.Err)
}

// Unwrap returns Err.
func (e *BatchError) Unwrap() error { return e.Err }

// badBatch is a batch that could not be read, as its broker has sent it.
type badBatch struct {
	BatchError
	raw   []byte
	tries int // how often it was read in vain
}

// found is what a broker has of a partition from an offset on.
type found struct {
	bad      *badBatch // the first batch that cannot be read, if only what is not polled is before it
	readable bool      // a record that can be polled is first
	past     int64     // up to here there is neither
}

// offsetBytes and headerBytes are the parts of a batch before its content, whose place does
// not depend on it: the first offset and the length; with those the epoch, the version, the
// checksum, the attributes and the last offset.
const (
	offsetBytes = 12
	headerBytes = 27
)

// inspect goes through the batches of a fetch from an offset on. Each is read alone, by what
// the client itself would use, so that the one that fails is known.
func inspect(opts kgo.ProcessFetchPartitionOpts, resp *kmsg.FetchResponseTopicPartition, decompressor kgo.Decompressor) found {
	f := found{past: opts.Offset}
	for in := resp.RecordBatches; len(in) > offsetBytes; {
		first := int64(binary.BigEndian.Uint64(in))
		length := int64(int32(binary.BigEndian.Uint32(in[8:]))) + offsetBytes
		if length < offsetBytes || length > int64(len(in)) {
			return f // the end of what the broker has sent
		}
		one := *resp
		one.RecordBatches = in[:length]
		opts.Offset = f.past
		fetched, next := kgo.ProcessFetchPartition(opts, &one, decompressor, nil)
		if len(fetched.Records) > 0 {
			f.readable = true
			return f
		}
		if fetched.Err != nil {
			f.bad = &badBatch{BatchError: BatchError{
				Topic: opts.Topic, Partition: opts.Partition, Offset: first, Err: fetched.Err,
				Next: after(in, length, first, resp.HighWatermark),
			}, raw: one.RecordBatches}
			return f
		}
		f.past = max(f.past, next)
		in = in[length:]
	}
	return f
}

// after returns the first offset after a batch that cannot be read, or unknown. The batch
// that follows says it; otherwise, if it can be true, the batch itself.
func after(in []byte, length, first, highWater int64) int64 {
	if rest := in[length:]; len(rest) >= 8 {
		if next := int64(binary.BigEndian.Uint64(rest)); next > first {
			return next
		}
	}
	if length >= headerBytes {
		delta := int64(int32(binary.BigEndian.Uint32(in[headerBytes-4:])))
		if next := first + delta + 1; delta >= 0 && next <= highWater {
			return next
		}
	}
	return unknown
}
