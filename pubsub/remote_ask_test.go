package pubsub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func TestAnUncountedDeliveryWaitsForAPositiveAnswer(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		net.Uncounted = true
		subscribeAll(t, hubs[1], &socket{refuse: pubsub.ErrFull})
		s := &socket{}
		subscribeAll(t, hubs[2], s)
		synctest.Wait()
		got := deliverFrom(t, hubs[0])
		s.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, got, nil)
		got = deliverFrom(t, hubs[0])
		s.taken[1].Report(time.Time{}, pubsub.ErrGone)
		<-time.After(5 * time.Second) // the number of nodes is unknown: another one may have it
		synctest.Wait()
		reported(t, got, pubsub.ErrFull) // which says when to try again
	})
}

// TestOtherNodesAreAskedAfterANegativeAnswer, if their number is not known: the delivery
// ends with the last of them, and at once if none has it.
func TestOtherNodesAreAskedAfterANegativeAnswer(t *testing.T) {
	bubble(t, pubsub.Config{RemoteTimeout: 5 * time.Second}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		net.Uncounted = true
		subscribeAll(t, hubs[1], &socket{refuse: pubsub.ErrFull})
		synctest.Wait()
		got := deliverFrom(t, hubs[0])
		synctest.Wait()
		reported(t, got, pubsub.ErrFull)
		s := &socket{}
		subscribeAll(t, hubs[2], s)
		synctest.Wait()
		got = deliverFrom(t, hubs[0])
		<-time.After(200 * time.Millisecond)
		if len(got.get()) != 0 {
			t.Fatalf("reported %v, although another node has it", got.get())
		}
		s.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, got, nil)
		// A node that says nothing is not waited for until the deadline.
		net.Freeze("c")
		got = deliverFrom(t, hubs[0])
		<-time.After(250*time.Millisecond - 1)
		if len(got.get()) != 0 {
			t.Fatalf("reported %v at once, although another node may have it", got.get())
		}
		<-time.After(1)
		synctest.Wait()
		reported(t, got, pubsub.ErrFull)
		net.Thaw("c")
		if s := hubs[0].Snapshot(); s.Asked != 3 || s.Pending != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// lateReturn is a remote whose Publish of a delivery returns later than the message was sent.
type lateReturn struct {
	*pubsubtest.Remote
	late time.Duration
}

func (r lateReturn) Publish(ctx context.Context, to string, m *pubsub.Message) (int, error) {
	nodes, err := r.Remote.Publish(ctx, to, m)
	if to == "" {
		<-time.After(r.late)
	}
	return nodes, err
}

// TestOtherNodesAreAskedAfterPublish, if it returns only when a question was due already, for
// a negative answer or for silence.
func TestOtherNodesAreAskedAfterPublish(t *testing.T) {
	for name, row := range map[string]struct {
		late time.Duration
		lost bool
		want error
	}{
		"after an answer": {time.Millisecond, false, pubsub.ErrFull},
		"after silence":   {300 * time.Millisecond, true, pubsub.ErrNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := pubsubtest.NewNetwork()
				net.Uncounted = true
				net.Drop = func(_, _ string, m *pubsub.Message) bool { return row.lost && m.Topic == "t" }
				a := newHub(t, pubsub.Config{Remote: lateReturn{net.Remote("a"), row.late}})
				pubsubtest.Run(t, a.Run)
				b, _ := net.Hub(t, "b", pubsub.Config{})
				_, _ = net.Hub(t, "c", pubsub.Config{})
				subscribeAll(t, b, &socket{refuse: pubsub.ErrFull})
				synctest.Wait()
				got := deliverFrom(t, a) // it waits for Publish
				<-time.After(time.Millisecond)
				if list := got.get(); len(list) != 1 || !errors.Is(list[0].Err, row.want) {
					t.Errorf("reports %v, want one of %v", list, row.want)
				}
				if s := a.Snapshot(); s.Asked != 1 || s.Pending != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestOtherNodesAreAskedAfterSilence: a delivery that was lost, as where a subscription
// ends just then, does not wait for its deadline; one that a socket is slow to write does.
func TestOtherNodesAreAskedAfterSilence(t *testing.T) {
	bubble(t, pubsub.Config{RemoteTimeout: 5 * time.Second}, func(t *testing.T, net *pubsubtest.Network, hubs []*pubsub.Hub) {
		net.Uncounted = true
		s := &socket{}
		subscribeAll(t, hubs[1], s)
		synctest.Wait()
		lost := deliverOn(t, hubs[0], "elsewhere")
		slow := deliverFrom(t, hubs[0])
		<-time.After(250*time.Millisecond - 1)
		if len(lost.get())+len(slow.get()) != 0 {
			t.Fatalf("reported %v, %v before the question", lost.get(), slow.get())
		}
		<-time.After(1)
		synctest.Wait()
		reported(t, lost, pubsub.ErrNoAnswer) // the answer may be what was lost
		<-time.After(4 * time.Second)
		if len(slow.get()) != 0 {
			t.Fatalf("reported %v, although a node has it", slow.get())
		}
		s.taken[0].Report(time.Now(), nil)
		synctest.Wait()
		reported(t, slow, nil)
		if s := hubs[0].Snapshot(); s.Asked != 2 || s.Pending != 0 || s.Unanswered != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestADeliveryDoesNotWaitForANodeThatHasLeft, which may have been the only one that had it.
func TestADeliveryDoesNotWaitForANodeThatHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &raw{in: make(chan pubsub.Receiver, 1)}
		h := newHub(t, pubsub.Config{Remote: r})
		pubsubtest.Run(t, h.Run)
		in := (<-r.in).(pubsub.LeaveReceiver)
		in.Left("b")
		got := deliverFrom(t, h)
		<-time.After(time.Second)
		in.Left("b")
		<-time.After(250*time.Millisecond - 1)
		if len(got.get()) != 0 {
			t.Fatalf("reported %v at once, although another node may answer", got.get())
		}
		<-time.After(1)
		synctest.Wait()
		reported(t, got, pubsub.ErrNoAnswer)
		if s := h.Snapshot(); s.Pending != 0 || s.Unanswered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestANumberOfNodesMayComeLater, before Publish has returned or after the last answer.
func TestANumberOfNodesMayComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &raw{in: make(chan pubsub.Receiver, 1)}
		h := newHub(t, pubsub.Config{Remote: r})
		pubsubtest.Run(t, h.Run)
		in := (<-r.in).(pubsub.CountReceiver)
		got := deliverFrom(t, h)
		if len(got.get()) != 0 || r.id == 0 {
			t.Fatalf("reported %v, id %d", got.get(), r.id)
		}
		in.Counted(r.id+1, 0) // of no delivery
		in.Counted(r.id, 0)
		reported(t, got, pubsub.ErrNoSubscriber)
		in.Counted(r.id, 0)
		r.publishing = func(id uint64) { in.Counted(id, 0) }
		reported(t, deliverFrom(t, h), pubsub.ErrNoSubscriber)
		if s := h.Snapshot(); s.Pending != 0 || s.Unanswered != 0 {
			t.Errorf("%+v", s)
		}
	})
}
