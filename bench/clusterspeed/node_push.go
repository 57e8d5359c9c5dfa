//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

// pushBytes is how large the payload of a push is.
const pushBytes = 200

// payload is a JSON object of so many bytes.
func payload(bytes int) json.RawMessage {
	const around = len(`{"text":""}`)
	return json.RawMessage(`{"text":"` + strings.Repeat("x", bytes-around) + `"}`)
}

// push is an event.
type push struct {
	user string
	due  time.Time
}

// pushing is what node a is to do.
type pushing struct {
	Users int           `json:"users"` // user:0 and so on
	Rate  int           `json:"rate"`  // 0: flat out
	For   time.Duration `json:"for"`
}

// pushed is what became of it.
type pushed struct {
	Pushes    int           `json:"pushes"`
	Receipts  int           `json:"receipts"`
	Discarded int           `json:"discarded"`
	Failed    int           `json:"failed"`
	Took      time.Duration `json:"took"` // from the first push to the last receipt
	P50       time.Duration `json:"p50"`
	P99       time.Duration `json:"p99"`
	Out       int64         `json:"out"`     // messages
	Back      int64         `json:"back"`    // messages
	Dropped   int64         `json:"dropped"` // messages out and back
}

// ledger notes what became of pushes. Its functions run on the stage's goroutine.
type ledger struct {
	mu        sync.Mutex
	took      []time.Duration
	discarded int
	failed    int
	last      time.Time
	all       chan struct{} // closed when as many have ended as want
	want      int
}

// end notes one end. The mutex is held.
func (l *ledger) end() {
	l.last = time.Now()
	l.close()
}

func (l *ledger) close() {
	if l.want > 0 && len(l.took)+l.discarded+l.failed == l.want {
		close(l.all)
	}
}

// push makes pushes through a pipeline and waits for their receipts.
func (n *node) push(ctx context.Context, cfg pushing) (out pushed, err error) {
	l := &ledger{all: make(chan struct{})}
	data := payload(pushBytes)
	sockets, err := delivery.New(n.sockets, delivery.Config[push]{
		Topic: func(p push) string { return p.user }, Event: "push",
		Payload: func(push) (any, error) { return data, nil },
		Delivered: func(p push, _ time.Time) {
			l.mu.Lock()
			l.took = append(l.took, time.Since(p.due))
			l.end()
			l.mu.Unlock()
		},
		Discarded: func(push, receipt.Reason) { l.mu.Lock(); l.discarded++; l.end(); l.mu.Unlock() },
		Failed: func(_ push, err error) {
			slog.Error("a push has failed", "error", err)
			l.mu.Lock()
			l.failed++
			l.end()
			l.mu.Unlock()
		},
	})
	if err != nil {
		return out, err
	}
	queue := stage.Must(producer.NewQueue(producer.QueueConfig[push]{}))
	users := stage.Must(fair.New(func(p push) string { return p.user }, fair.Config[push]{}))
	source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[push]{Dispatcher: users}))
	sink := stage.Must(stage.NewConsumer(sockets, stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		return out, err
	}
	pipeline := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, source, sink))
	ended := make(chan error, 1)
	go func() { ended <- pipeline.Run(ctx) }()
	defer func() {
		pipeline.Drain()
		if e := <-ended; err == nil {
			err = e
		}
	}()

	before, droppedBefore := n.hub.Snapshot(), n.dropped()
	begin := time.Now()
	if cfg.Rate > 0 {
		out.Pushes, err = pace(ctx, queue, cfg, begin)
	} else {
		out.Pushes, err = flood(ctx, queue, cfg, begin)
	}
	if err != nil {
		return out, err
	}
	if err := l.wait(ctx, out.Pushes); err != nil {
		return out, err
	}
	after := n.hub.Snapshot()
	l.mu.Lock()
	defer l.mu.Unlock()
	out.Receipts, out.Discarded, out.Failed, out.Took = len(l.took), l.discarded, l.failed, l.last.Sub(begin)
	out.Out, out.Back, out.Dropped = after.Published-before.Published, after.Received-before.Received, n.dropped()-droppedBefore
	slices.Sort(l.took)
	out.P50, out.P99 = quantile(l.took, 50), quantile(l.took, 99)
	return out, nil
}

// wait waits until so many pushes have ended.
func (l *ledger) wait(ctx context.Context, pushes int) error {
	l.mu.Lock()
	l.want = pushes
	l.close()
	l.mu.Unlock()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-l.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		l.mu.Lock()
		defer l.mu.Unlock()
		return fmt.Errorf("%d of %d pushes have no end after %v", pushes-len(l.took)-l.discarded-l.failed, pushes, patience)
	}
}

// names returns the topics of users.
func names(users int) []string {
	all := make([]string, users)
	for i := range all {
		all[i] = fmt.Sprint("user:", i)
	}
	return all
}

// flood pushes to one user after another as fast as the queue takes it.
func flood(ctx context.Context, queue *producer.Queue[push], cfg pushing, begin time.Time) (pushes int, err error) {
	users := names(cfg.Users)
	for now := begin; now.Sub(begin) < cfg.For; pushes++ {
		if pushes%64 == 0 {
			now = time.Now()
		}
		if err := queue.Push(ctx, push{users[pushes%len(users)], now}); err != nil {
			return pushes, err
		}
	}
	return pushes, nil
}

// pace pushes at a rate. Its thread sleeps, since a goroutine of an idle process wakes up
// to a millisecond late.
func pace(ctx context.Context, queue *producer.Queue[push], cfg pushing, begin time.Time) (pushes int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	users := names(cfg.Users)
	for total := due(cfg.Rate, cfg.For); pushes < total; {
		for upTo := min(due(cfg.Rate, time.Since(begin)), total); pushes < upTo; pushes++ {
			// The clock begins when the push was due, not when there was time for it.
			if err := queue.Push(ctx, push{users[pushes%len(users)], begin.Add(dueAt(cfg.Rate, pushes))}); err != nil {
				return pushes, err
			}
		}
		nap := syscall.NsecToTimespec(int64(50 * time.Microsecond))
		_ = syscall.Nanosleep(&nap, nil) // a signal may end it early
	}
	return pushes, nil
}
