package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka"
)

// The headers of a record that was written by this program. A record without
// them is a push all the same: its value is what POST /push takes.
const (
	headerOrigin = "origin"
	headerSeq    = "seq"
	headerAt     = "at" // unix nanoseconds
	headerBy     = "producer"
)

// outgoing is a push on its way to the broker, with all that its record needs in one
// allocation besides its bytes.
type outgoing struct {
	record  kgo.Record
	headers [4]kgo.RecordHeader
	push    push
	source  *kafkaSource
	done    func(error)
}

// encode makes the record of a push. Records of a user have the same key, so that
// they keep their order on one partition.
func (o *outgoing) encode() {
	p := &o.push
	// By hand, since an encoder would write the data in another way than it came. The
	// id needs no escapes. The value comes first in one buffer with all that is short.
	b := make([]byte, 0, len(p.Data)+2*len(p.User)+len(p.Origin)+len(p.By)+72)
	b = append(append(append(b, `{"user_id":"`...), p.User...), `","data":`...)
	b = append(append(b, p.Data...), '}')
	from := 0
	part := func() []byte { // what was appended since the last call
		some := b[from:len(b):len(b)]
		from = len(b)
		return some
	}
	o.record.Value = part()
	b = append(b, p.User...)
	o.record.Key = part()
	b = append(b, p.Origin...)
	headers := append(o.headers[:0], kgo.RecordHeader{Key: headerOrigin, Value: part()})
	b = strconv.AppendUint(b, p.Seq, 10)
	headers = append(headers, kgo.RecordHeader{Key: headerSeq, Value: part()})
	b = strconv.AppendInt(b, p.At.UnixNano(), 10)
	headers = append(headers, kgo.RecordHeader{Key: headerAt, Value: part()})
	if p.By != "" {
		b = append(b, p.By...)
		headers = append(headers, kgo.RecordHeader{Key: headerBy, Value: part()})
	}
	o.record.Headers = headers
	if p.trace.IsValid() {
		kafka.SetTraceContext(&o.record, p.trace)
	}
}

// confirmed runs in a goroutine of the Kafka client, once the broker has the push or never
// will. A push that was not confirmed was never taken in: its caller gets the error.
func (o *outgoing) confirmed(err error) {
	k := o.source
	if err == nil {
		k.places.wrote(o.record.Partition, o.record.Offset)
		k.ledger.accepted.Add(1)
	}
	// The broker inside this process keeps so little that what was not read counts
	// on: decode frees it.
	if err != nil || !k.small {
		k.room.free(o.push)
	}
	o.done(err)
}

// decode makes a push of a record, in the goroutine that fetches. An error makes
// the record poison.
func (k *kafkaSource) decode(r *kgo.Record) (push, error) {
	// Also if it is no push: it is read.
	first := k.places.read(r.Partition, r.Offset)
	at := k.places.pass(r.Partition, r.Offset, len(r.Value)+len(r.Key)+pushOverhead)
	// The same checks as over HTTP, since any program can write to the topic.
	p, err := parsePush(r.Value, -1)
	if err != nil {
		return p, err
	}
	p.place = at
	k.stamp(&p, r)
	if first && k.small && strings.HasPrefix(p.Origin, k.seq.name) {
		k.room.free(p)
	}
	return p, nil
}

// stamp reads what the headers say. They are not trusted: a time that cannot
// be is counted and taken for now.
func (k *kafkaSource) stamp(p *push, r *kgo.Record) {
	p.trace = kafka.TraceContext(r)
	now := time.Now()
	p.At = r.Timestamp
	var origin string
	var seq uint64
	var at int64
	for _, h := range r.Headers {
		switch h.Key {
		case headerOrigin:
			origin = k.originOf(h.Value)
		case headerSeq:
			seq, _ = strconv.ParseUint(string(h.Value), 10, 64)
		case headerAt:
			at, _ = strconv.ParseInt(string(h.Value), 10, 64)
		case headerBy:
			p.By = string(h.Value)
		}
	}
	// Both or none: a number without its origin orders nothing.
	if origin != "" && len(origin) <= maxUserID && seq > 0 {
		p.Origin, p.Seq = origin, seq
	} else {
		// A record of another program has its partition as origin and its offset as
		// number, which both keep the order.
		p.Origin, p.Seq = fmt.Sprintf("%s-%d", r.Topic, r.Partition), uint64(r.Offset)+1
	}
	if at > 0 {
		// Checked below, as is the time of the record.
		p.At = time.Unix(0, at)
	}
	var skewed bool
	if p.At, skewed = kafka.ProducedAt(&kgo.Record{Timestamp: p.At}, now); skewed {
		k.skewed.Add(1)
	}
}

// originOf returns the text of an origin. Most records have that of the one before, which
// is shared.
func (k *kafkaSource) originOf(text []byte) string {
	if last := k.origin.Load(); last != nil && *last == string(text) {
		return *last
	}
	origin := string(text)
	k.origin.Store(&origin)
	return origin
}
