package main

import (
	"strconv"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// build joins the stages: the source with its dispatcher, and the sockets. The
// dispatcher holds what waits, so that the source's own buffer is not bounded.
func (a *app) build() (err error) {
	// Only -fairness sets a rival.
	chosen := a.cfg.rival
	if chosen == nil {
		chosen = a.fairDispatcher
	}
	line := chosen(a.cfg)
	a.producer, err = stage.NewProducer(a.source.handler(), stage.ProducerConfig[push]{
		Name: a.cfg.Source, Dispatcher: line.dispatcher, Logger: a.log,
		Discarded: a.discarded,
	})
	if err != nil {
		return err
	}
	stages := []stage.Stage{a.producer}
	for i, pool := range line.pools {
		sockets, err := a.newSockets(pool.workers)
		if err != nil {
			return err
		}
		// Under a rival that partitions there is a stage for each partition.
		w := &worker{Consumer: sockets, pause: a.cfg.Work, took: a.recorder.Timer("pipeline.worker.process_time")}
		name := "sockets"
		// Names of stages must be unique in a pipeline.
		if len(line.pools) > 1 {
			name += strconv.Itoa(i)
		}
		end, err := stage.NewConsumer(w, stage.ConsumerConfig{Name: name, Logger: a.log})
		if err != nil {
			return err
		}
		sub, err := end.Subscribe(a.producer, stage.SubscribeConfig{Partition: pool.partition})
		if err != nil {
			return err
		}
		a.controls.subs = append(a.controls.subs, sub)
		a.workers = append(a.workers, w)
		stages = append(stages, end)
	}
	a.controls.size.Store(int64(a.cfg.Workers))
	a.pipeline, err = stage.NewPipeline(stage.PipelineConfig{
		// run.drain stops it before.
		DrainTimeout: a.cfg.Drain + time.Second, Metrics: a.recorder, Tracer: a.tracer, Logger: a.log,
	}, stages...)
	return err
}

// discarded books a push that the pipeline, or the source at its end, has discarded.
func (a *app) discarded(p push, reason receipt.Reason) {
	a.source.ended(p)
	if (reason == receipt.Stopped || reason == receipt.Parked) && a.cfg.Source == "kafka" {
		a.ledger.left.Add(1) // not committed, so that the next run reads it
		return
	}
	a.ledger.discard(reason)
}

// delivered books a push that was written to its user's socket.
func (a *app) delivered(p push, at time.Time) {
	a.ledger.deliver(p, at)
	a.source.ended(p)
}

// failed books a push that could not be sent.
func (a *app) failed(p push, _ error) {
	a.ledger.discard("failed")
	a.source.ended(p)
}
