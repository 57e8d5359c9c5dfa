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

// encode makes a record of a push. Records of a user have the same key, so that
// they keep their order on one partition.
func (k *kafkaSource) encode(p push) *kgo.Record {
	// By hand, since an encoder would write the data in another way than it came. The
	// id needs no escapes.
	value := make([]byte, 0, len(p.Data)+len(p.User)+32)
	value = append(append(append(value, `{"user_id":"`...), p.User...), `","data":`...)
	value = append(append(value, p.Data...), '}')
	record := &kgo.Record{Key: []byte(p.User), Value: value, Headers: []kgo.RecordHeader{
		{Key: headerOrigin, Value: []byte(p.Origin)},
		{Key: headerSeq, Value: strconv.AppendUint(nil, p.Seq, 10)},
		{Key: headerAt, Value: strconv.AppendInt(nil, p.At.UnixNano(), 10)},
	}}
	if p.By != "" {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: headerBy, Value: []byte(p.By)})
	}
	if p.trace.IsValid() {
		kafka.SetTraceContext(record, p.trace)
	}
	return record
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
	// A record of another program has its partition as origin and its offset as
	// number, which both keep the order.
	p.At, p.Origin, p.Seq = r.Timestamp, fmt.Sprintf("%s-%d", r.Topic, r.Partition), uint64(r.Offset)+1
	var origin string
	var seq uint64
	var at int64
	for _, h := range r.Headers {
		switch h.Key {
		case headerOrigin:
			origin = string(h.Value)
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
