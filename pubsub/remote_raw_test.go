package pubsub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func TestHostileMessagesAreCountedAndDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &raw{in: make(chan pubsub.Receiver, 1)}
		h := newHub(t, pubsub.Config{Remote: r})
		pubsubtest.Run(t, h.Run)
		in := <-r.in
		got := &recorder{}
		subscribe(t, h, "t", got)
		in.Receive([]byte("nonsense")) // as of another version
		in.Receive([]byte{1, 0xff})
		in.Receive(nil)
		own := newHub(t, pubsub.Config{Remote: r})
		send(t, own, "t", "e", nil) // as if another node had the same name
		in.Receive(r.last)
		if s := h.Snapshot(); s.Malformed != 2 || s.Versions != 1 || s.Own != 1 || s.Received != 0 || got.String() != "[]" {
			t.Errorf("%+v, got %s", s, got)
		}
		h.Stop()
		in.Receive(nil)
		if s := h.Snapshot(); s.Malformed != 2 {
			t.Errorf("received after Close: %+v", s)
		}
	})
}

// raw is a remote in the hands of the test.
type raw struct {
	in   chan pubsub.Receiver
	last []byte
	fail error

	id         uint64
	publishing func(id uint64)
}

func (r *raw) Node() string { return "a" }

func (r *raw) Run(ctx context.Context, in pubsub.Receiver) error {
	if r.fail != nil {
		return r.fail
	}
	r.in <- in
	<-ctx.Done()
	return nil
}

func (r *raw) Publish(_ context.Context, _ string, m *pubsub.Message) (int, error) {
	r.last, r.id = m.Append(nil), m.DeliveryID()
	if r.publishing != nil {
		r.publishing(r.id)
	}
	return -1, nil
}

func TestRunReturnsTheErrorOfTheRemote(t *testing.T) {
	broken := errors.New("broken")
	h := newHub(t, pubsub.Config{Remote: &raw{fail: broken}})
	if err := h.Run(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
	alone := newHub(t, pubsub.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := alone.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestOptionsAboutOtherNodesAreChecked(t *testing.T) {
	for option, cfg := range map[string]pubsub.Config{
		"RemoteTimeout": {RemoteTimeout: -1}, "Linger": {Linger: -1}, "Remote": {Remote: pubsubtest.NewNetwork().Remote("")},
	} {
		var bad *pubsub.OptionError
		if _, err := pubsub.New(cfg); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}
