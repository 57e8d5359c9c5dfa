package producer_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// What a source holds is in the snapshot of its stage.
func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
		for i := range 5 {
			if err := queue.TryPush(i); err != nil {
				t.Fatal(err)
			}
		}
		x := startPipe(t, queue, stage.SubscribeConfig{Manual: true})
		if err := x.sub.Ask(2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := producer.QueueSnapshot{Waiting: 3, Pushed: 5, Taken: 2}
		if got := inspected(t, x); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		x.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		x := startPipe(t, stage.Must(producer.NewSeq(slices.Values([]int{1, 2, 3}), producer.SeqConfig[int]{})), stage.SubscribeConfig{Manual: true})
		if got := inspected(t, x); got != (producer.SourceSnapshot{}) {
			t.Errorf("before the first demand: %+v", got)
		}
		if err := x.sub.Ask(2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, want := inspected(t, x), (producer.SourceSnapshot{Reading: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if err := x.sub.Ask(2); err != nil {
			t.Fatal(err)
		}
		<-x.src.Stopped()
		if got, want := inspected(t, x), (producer.SourceSnapshot{Demand: 1, Ended: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		x.stop()
	})
}

func inspected[T any](t *testing.T, x *pipe[T]) any {
	t.Helper()
	snap, err := x.src.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap.Handler
}
