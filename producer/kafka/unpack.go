package kafka

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unpacking bounds what the client has unpacked and not given to the poller, in bytes. When
// a response would exceed the bound, the rest of it is not unpacked, and fetched again
// later. It is the client's decompressor and its hook; all methods may be called from any
// goroutine.
//
// The client unpacks one response of each broker at a time, and the next when the poller
// has taken the first. It does not say which broker a batch is of before it is unpacked,
// so that the brokers share the sum of their bounds.
type unpacking struct {
	inner  kgo.Decompressor
	bound  int64 // for each broker
	reopen func(topicPartition)
	denied atomic.Bool // since the poller has looked

	mu       sync.Mutex // guards the rest
	loads    map[int32]*load
	brokerOf map[topicPartition]*load
	// reads counts the responses of each broker; seen has the last one of these that has
	// records of a partition.
	reads   map[int32]uint64
	seen    map[topicPartition]uint64
	total   int64 // of loads
	pending int64 // unpacked, and its broker is not known yet
}

// load is what was unpacked of a broker's last response and was not polled.
type load struct{ bytes int64 }

// errUnpackLimit is the error of a batch that was not unpacked. The client drops it if
// batches of the partition before it were.
var errUnpackLimit = errors.New("kafka: not unpacked yet, for its size")

func isUnpackLimit(err error) bool { return err != nil && errors.Is(err, errUnpackLimit) }

// newUnpacking returns a bound for each broker's response. No batch may exceed maxBatch.
func newUnpacking(bound, maxBatch int, reopen func(topicPartition)) (*unpacking, error) {
	// The client's own decompressor is made by a client only.
	maker, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(maxBatch))
	if err != nil {
		return nil, err
	}
	defer maker.Close()
	return &unpacking{
		inner: maker.OptValue(kgo.WithDecompressor).(kgo.Decompressor), bound: int64(bound), reopen: reopen,
		loads: map[int32]*load{}, brokerOf: map[topicPartition]*load{},
		reads: map[int32]uint64{}, seen: map[topicPartition]uint64{},
	}, nil
}

// Decompress implements kgo.Decompressor.
func (u *unpacking) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	u.mu.Lock()
	full := u.total+u.pending >= u.bound*int64(max(1, len(u.loads)))
	u.mu.Unlock()
	if full {
		u.denied.Store(true)
		return nil, errUnpackLimit
	}
	out, err := u.inner.Decompress(src, codec)
	u.mu.Lock()
	u.pending += int64(len(out))
	u.mu.Unlock()
	return out, err
}

// OnFetchBatchRead implements kgo.HookFetchBatchRead. The client calls it after each batch,
// before it keeps the response.
func (u *unpacking) OnFetchBatchRead(broker kgo.BrokerMetadata, topic string, partition int32, m kgo.FetchBatchMetrics) {
	key := topicPartition{topic, partition}
	if m.NumRecords > 0 {
		u.mu.Lock()
		read := u.reads[broker.NodeID]
		first := u.seen[key] != read
		u.seen[key] = read
		u.mu.Unlock()
		if first {
			u.reopen(key)
		}
	}
	if kgo.CompressionCodecType(m.CompressionType) == kgo.CodecNone {
		return // it is a part of the response, whose size is bounded
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.loads[broker.NodeID]
	if l == nil {
		l = &load{}
		u.loads[broker.NodeID] = l
	}
	size := int64(m.UncompressedBytes) + int64(m.NumRecords)*recordBytes
	l.bytes += size
	u.total += size
	u.pending = 0
	u.brokerOf[key] = l
}

// OnBrokerRead implements kgo.HookBrokerRead: a new response means that the last one of that
// broker has been polled.
func (u *unpacking) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key != int16(kmsg.Fetch) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reads[broker.NodeID]++
	u.drop(u.loads[broker.NodeID])
}

// polled notes that the response with that partition has been polled.
func (u *unpacking) polled(key topicPartition) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drop(u.brokerOf[key])
}

// drop takes a load off, if there is one. mu is held.
func (u *unpacking) drop(l *load) {
	if l != nil {
		u.total -= l.bytes
		l.bytes = 0
	}
}

// reset forgets what was unpacked: the client has nothing any more. What a rebalance has
// discarded would count for ever otherwise.
func (u *unpacking) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, l := range u.loads {
		l.bytes = 0
	}
	u.total, u.pending = 0, 0
}

// resizing is how much less than the configured sizes is fetched at a time, since it
// unpacks to more than the bound: what is not unpacked is fetched twice. It belongs to the
// poller.
type resizing struct {
	halvings int
	clean    int // polls since the bound was last reached
}

const (
	maxHalvings = 8
	// growAfter is how many polls are within the bound before more is fetched at a time.
	growAfter = 32
)

// next returns whether the sizes change, after a poll with records.
func (s *resizing) next(denied bool) bool {
	s.clean++
	switch {
	case denied && s.halvings < maxHalvings:
		s.halvings, s.clean = s.halvings+1, 0
	case !denied && s.halvings > 0 && s.clean >= growAfter:
		s.halvings, s.clean = s.halvings-1, 0
	default:
		return false
	}
	return true
}

// resize adapts the sizes of fetches to how much they unpack to. starved: a partition has
// got nothing, for the bound was reached before its turn.
func (p *Producer[T]) resize(fetches kgo.Fetches, starved bool) {
	if starved && p.client.BufferedFetchRecords() == 0 && fetches.NumRecords() == 0 {
		p.unpacking.reset()
	}
	if s := &p.poller.resizing; s.next(p.unpacking.denied.Swap(false)) {
		p.mu.Lock()
		p.halvings = s.halvings
		p.setSize()
		p.mu.Unlock()
	}
}
