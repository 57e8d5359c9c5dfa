package main

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// job is one push on its way through the stages.
type job struct {
	topic   string
	payload loadPayload
}

// postPipeline makes the same pushes as postPush, through a producer, the fair
// dispatcher and pools of workers.
func (s *server) postPipeline(w http.ResponseWriter, r *http.Request) {
	q := parse(r)
	prefix, event := q.word("prefix", "user:"), q.word("event", "msg")
	from, users, rounds := q.number("from", 0, maxEvents), max(1, q.number("users", 1, maxUsers)), q.number("rounds", 1, maxEvents)
	consumers, demand, pad := max(1, q.number("consumers", 1, maxWorkers)), max(1, q.number("max_demand", 64, maxUsers)), q.filler()
	if q.refused(w) {
		return
	}
	var receivers, discarded atomic.Int64
	source := stage.Must(stage.NewProducer(stage.Must(producer.NewSeq(func(yield func(job) bool) {
		for n := range users * rounds {
			payload := loadPayload{TS: time.Now().UnixNano(), Seq: n / users, Pad: pad}
			if !yield(job{prefix + strconv.Itoa(from+n%users), payload}) {
				return
			}
		}
	}, producer.SeqConfig[job]{})), stage.ProducerConfig[job]{
		Dispatcher: stage.Must(fair.New(func(j job) string { return j.topic }, fair.Config[job]{})),
		Discarded:  func(job, receipt.Reason) { discarded.Add(1) },
	}))
	stages := []stage.Stage{source}
	for range consumers {
		pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, j job) error {
			n, err := s.endpoint.Broadcast(ctx, j.topic, event, j.payload)
			receivers.Add(int64(n))
			return err
		}, consumer.SupervisorConfig[job]{MaxDemand: demand}))
		workers := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
		if _, err := workers.Subscribe(source, stage.SubscribeConfig{}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		stages = append(stages, workers)
	}
	start := time.Now()
	if err := stage.Run(r.Context(), stages...); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{"count": users * rounds, "receivers": receivers.Load(), "discarded": discarded.Load(), "us": time.Since(start).Microseconds()})
}
