package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Whatever ends a pool, the producer has the receipt of every event whose worker
// has finished, and with Redeliver none of them is handled again.
func TestSupervisorEndLosesNoReceipt(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, end := range map[string]func(*rig) error{
		"the rest fails":      func(*rig) error { return errOops },
		"the pool is stopped": func(r *rig) error { r.sink.Stop(errOops); return errOops },
		"a Failed panics":     nil,
		"cancelled":           func(r *rig) error { r.sub.Cancel(errOops); return nil },
	} {
		for _, redeliver := range []bool{false, true} {
			t.Run(fmt.Sprint(name, redeliver), func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 0))
				for range 100 {
					endsWithReceipts(t, 1+rnd.IntN(40), redeliver, end)
				}
			})
		}
	}
}

// endsWithReceipts runs 100 events of which the first good return nil and the
// others end the pool.
func endsWithReceipts(t *testing.T, good int, redeliver bool, end func(*rig) error) {
	t.Helper()
	var r *rig
	ready := make(chan struct{})
	var handled log // by workers that returned nil
	cfg := config{MaxDemand: 100, MinDemand: 50, Retry: retry.Policy{MaxAttempts: retry.Unlimited, Backoff: retry.NoPause}, MaxRestarts: 3}
	if end == nil {
		cfg.Restart, cfg.Failed = consumer.Temporary, func(int, error) { panic(errOops) }
	}
	pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
		<-ready
		switch {
		case v < good:
			handled.add(v)
			return nil
		case end == nil:
			return errOops
		}
		err := end(r)
		if err == nil {
			handled.add(v)
		}
		return err
	}, cfg))
	src := &tracked{counter{limit: 100}}
	r = start(t, src, pool, stage.SubscribeConfig{Redeliver: redeliver})
	close(ready)
	<-r.sink.Stopped()
	var again log
	if redeliver {
		second := stage.Must(stage.NewConsumer(stage.Must(consumer.ForEach(func(_ context.Context, v int) error {
			again.add(v)
			return nil
		})), stage.ConsumerConfig{}))
		if _, err := second.Subscribe(r.src, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		if err := second.Start(t.Context()); err != nil && !errors.Is(err, stage.ErrDone) {
			t.Fatal(err)
		}
		<-second.Stopped()
	}
	r.stop()
	got := src.outcomes(t)
	for _, v := range handled.all() {
		if got[v] != receipt.Done {
			t.Errorf("event %d was handled and is %v", v, got[v])
		}
	}
	twice := make(map[int]bool)
	for _, v := range again.all() {
		twice[v] = true
	}
	for _, v := range handled.all() {
		if twice[v] {
			t.Errorf("event %d was handled twice", v)
		}
	}
}
