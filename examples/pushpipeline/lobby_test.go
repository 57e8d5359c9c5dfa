package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// pipe runs pushes through a real pipeline whose worker hands each delivery to
// deliver, and answers the discards and a function that waits for the end.
func pipe(t *testing.T, deliver func(*delivery)) (*producer.Queue[push], *ledger, func()) {
	t.Helper()
	l := newLedger(metrics.Nop(), "")
	q := stage.Must(producer.NewQueue[push](producer.QueueConfig[push]{}))
	source := stage.Must(stage.NewProducer(q, stage.ProducerConfig[push]{
		Dispatcher: stage.Must(fair.New(func(p push) string { return p.User }, fair.Config[push]{})),
		Discarded:  func(_ push, reason receipt.Reason) { l.discard(reason) },
	}))
	end := stage.Must(stage.NewConsumer(stage.Must(consumer.NewSupervisor(func(ctx context.Context, p push) error {
		receipt, _ := consumer.Defer(ctx)
		deliver(&delivery{push: p, receipt: receipt, ledger: l})
		return nil
	}, consumer.SupervisorConfig[push]{})), stage.ConsumerConfig{}))
	if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- stage.Run(t.Context(), source, end) }()
	return q, l, func() {
		q.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestLobbyWithoutGraceDiscardsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lobby := newLobby(0)
		q, l, wait := pipe(t, func(v *delivery) { lobby.wait(v) })
		_ = q.TryPush(push{User: "1"})
		wait()
		if n := l.discards()["no_subscriber"]; n != 1 {
			t.Errorf("%v", l.discards())
		}
	})
}

func TestLobbyKeepsPushesForWhoComesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lobby := newLobby(10 * time.Second)
		var sent []uint64
		lobby.again = func(v *delivery) {
			sent = append(sent, v.push.Seq)
			v.left.Store(1)
			v.Delivered(time.Now(), nil)
		}
		here := false
		q, l, wait := pipe(t, func(v *delivery) {
			if here {
				lobby.again(v)
			} else {
				lobby.wait(v)
			}
		})
		for seq := range uint64(3) {
			_ = q.TryPush(push{User: "1", Seq: seq + 1, At: time.Now()})
		}
		synctest.Wait()
		<-time.After(9 * time.Second) // of the bubble's clock
		if lobby.count() != 1 {
			t.Fatalf("%d wait: a user has one push in flight", lobby.count())
		}
		here = true
		lobby.arrived("1")
		wait()
		if len(sent) != 3 || sent[0] != 1 || sent[1] != 2 || sent[2] != 3 || l.delivered.Load() != 3 {
			t.Errorf("sent %v, delivered %d, discarded %v", sent, l.delivered.Load(), l.discards())
		}
	})
}

func TestLobbyGivesUpAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lobby := newLobby(10 * time.Second)
		q, l, wait := pipe(t, func(v *delivery) { lobby.wait(v) })
		begin := time.Now()
		_ = q.TryPush(push{User: "1"})
		_ = q.TryPush(push{User: "2"})
		wait()
		if got := time.Since(begin); got != 10*time.Second {
			t.Errorf("it took %v", got)
		}
		if n := l.discards()["no_subscriber"]; n != 2 || lobby.count() != 0 {
			t.Errorf("%v, %d wait", l.discards(), lobby.count())
		}
	})
}

func TestDeliveryConcludesWithItsLastSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v *delivery
		q, l, wait := pipe(t, func(d *delivery) { v = d })
		_ = q.TryPush(push{User: "1", At: time.Now()})
		synctest.Wait()
		v.left.Store(holding)
		v.Delivered(time.Now(), context.Canceled) // before it is known how many there are
		v.Delivered(time.Now().Add(5*time.Millisecond), nil)
		if l.delivered.Load() != 0 {
			t.Error("delivered before it was known how many sockets there are")
		}
		v.answered(holding - 3)
		if l.delivered.Load() != 0 {
			t.Error("delivered before the third socket answered")
		}
		v.Delivered(time.Now(), context.Canceled)
		wait()
		if l.delivered.Load() != 1 || len(l.discards()) != 0 {
			t.Errorf("delivered %d, discarded %v", l.delivered.Load(), l.discards())
		}
	})
}
