package pubsub_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// wired is a remote whose messages the test takes: each is passed on when the test says so.
type wired struct {
	name string
	in   chan pubsub.Receiver
	sent chan sending
}

// sending is a message that a remote has been given. Publish returns when done is closed.
type sending struct {
	to   string
	data []byte
	done chan struct{}
}

func (w *wired) Node() string { return w.name }

func (w *wired) Run(ctx context.Context, in pubsub.Receiver) error {
	w.in <- in
	<-ctx.Done()
	return nil
}

func (w *wired) Publish(ctx context.Context, to string, m *pubsub.Message) (int, error) {
	s := sending{to, m.Append(nil), make(chan struct{})}
	w.sent <- s
	select {
	case <-s.done:
		return 1, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// newWired returns a running hub with such a remote.
func newWired(t *testing.T, name string) (*pubsub.Hub, *wired, pubsub.Receiver) {
	w := &wired{name: name, in: make(chan pubsub.Receiver, 1), sent: make(chan sending, 16)}
	h := newHub(t, pubsub.Config{Remote: w, RemoteTimeout: 5 * time.Second})
	pubsubtest.Run(t, h.Run)
	return h, w, <-w.in
}

// TestADeliveryThatIsSentAgainDoesNotComeAfterANewerOne: a node that stood still asks about
// an old delivery. Its origin looks whether it is the newest, and makes a newer one before
// the old one has left.
func TestADeliveryThatIsSentAgainDoesNotComeAfterANewerOne(t *testing.T) {
	for _, newer := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			origin, fromOrigin, toOrigin := newWired(t, "origin")
			there, fromThere, toThere := newWired(t, "there")
			got := &recorder{}
			subscribe(t, there, "t", got)
			var ends []error
			deliver := func(n int) {
				go func() {
					if err := origin.Deliver(t.Context(), "t", "e", num{n}, func(r pubsub.Report) { ends = append(ends, r.Err) }); err != nil {
						t.Error(err)
					}
				}()
			}
			pass := func(s sending, to pubsub.Receiver) {
				to.Receive(s.data)
				close(s.done)
				synctest.Wait()
			}
			answer := func() { pass(<-fromThere.sent, toOrigin) }
			deliver(1)
			pass(<-fromOrigin.sent, toThere) // from which the node learns the clock
			answer()
			deliver(2)
			old := <-fromOrigin.sent
			close(old.done)
			<-time.After(3 * time.Second)
			toThere.Receive(old.data)
			answer() // the question
			again := <-fromOrigin.sent
			if again.to != "there" || got.String() != "[e1]" {
				t.Fatalf("%q to %q, the node has %v: want the old one sent again", again.data, again.to, got)
			}
			want := "[e1 e2]"
			if newer {
				deliver(3)
				pass(<-fromOrigin.sent, toThere)
				answer()
				want = "[e1 e3]"
			}
			pass(again, toThere)
			answer()
			if got.String() != want {
				t.Errorf("the node has %v, want %s", got, want)
			}
			// The recorder takes nothing.
			last := pubsub.ErrNoSubscriber
			if newer {
				last = pubsub.ErrNoAnswer
			}
			if len(ends) == 0 || ends[len(ends)-1] != last || origin.Snapshot().Pending != 0 {
				t.Errorf("ends %v, want %v last and nothing that waits", ends, last)
			}
		})
	}
}
