package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// reports gathers what deliveries report, as "n: reason".
type reports struct {
	f    *fixture
	mu   sync.Mutex
	list []string
}

func (r *reports) deliver(topic string, n int) {
	r.f.t.Helper()
	err := r.f.endpoint.Deliver(context.Background(), topic, "e", map[string]int{"n": n}, func(report websocket.Report) {
		text := fmt.Sprint(n, ": ", report.Err)
		if report.Err == nil {
			text = fmt.Sprint(n, ": written")
		}
		if report.Err == nil && time.Since(report.At) > time.Second {
			text += " long ago"
		}
		if report.Kept {
			text += " (kept)"
		}
		r.mu.Lock()
		r.list = append(r.list, text)
		r.mu.Unlock()
	})
	if err != nil {
		r.f.t.Fatal(err)
	}
}

// has waits until nothing moves any more and reports whether text was reported since the last
// call of expect.
func (r *reports) has(text string) bool {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.list, text)
}

// expect waits until nothing moves any more and compares what was reported since
// the last call.
func (r *reports) expect(want ...string) {
	r.f.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.list) // connections that end report in any order
	if fmt.Sprint(r.list) != fmt.Sprint(want) {
		r.f.t.Errorf("reported %q, want %q", r.list, want)
	}
	r.list = nil
}

const (
	noSubscriber = "pubsub: topic has no subscriber"
	full         = "pubsub: subscriber has no room"
	gone         = "pubsub: subscribers ended before they had the message"
	superseded   = "pubsub: superseded by a newer message"
	unfit        = "pubsub: message is not fit for its subscribers"
)

func TestADeliveryIsReportedWhenItWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {intercept: []string{"e"}}}})
		r := &reports{f: f}
		r.deliver("room:a", 0)
		r.expect("0: " + noSubscriber)
		a, b := f.connect("a"), f.connect("b")
		a.join(1, "room:a")
		b.join(1, "room:a")
		r.deliver("room:a", 1)
		r.expect()
		pass(2 * time.Second)
		a.expect(`[null,null,"room:a","e",{"n":1}]`) // b does not read
		r.expect("1: written")
		b.expect(`[null,null,"room:a","e",{"n":1}]`)
		r.expect()
	})
}

func TestAFullConnectionRefusesADeliveryAndStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 4}))
		r := &reports{f: f}
		stuck, healthy := f.connect("1"), f.connect("1")
		stuck.join(1, "room:a")
		synctest.Wait()
		for n := range 4 {
			r.deliver("room:a", n)
		}
		r.expect()
		changes := 0
		w := f.endpoint.PubSub().Watch("room:a", func() { changes++ })
		defer w.Stop()
		r.deliver("room:a", 4)
		r.expect("4: " + full)
		healthy.join(1, "room:a")
		r.deliver("room:a", 5)
		healthy.expect(`[null,null,"room:a","e",{"n":5}]`)
		r.expect("5: written")
		if changes != 1 {
			t.Errorf("%d changes, want the one of the join", changes)
		}
		for n := range 4 {
			stuck.expect(fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, n))
		}
		r.expect("0: written", "1: written", "2: written", "3: written")
		if changes != 2 {
			t.Errorf("%d changes, want one of the room as well", changes)
		}
		r.deliver("room:a", 6)
		stuck.expect(`[null,null,"room:a","e",{"n":6}]`)
		r.expect("6: written")
	})
}

func TestADeliveryOutlivedByNoConnectionIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 2}))
		r := &reports{f: f}
		a, b := f.connect("1"), f.connect("1")
		a.join(1, "room:a")
		b.join(1, "room:a")
		synctest.Wait()
		for n := range 3 {
			r.deliver("room:a", n)
		}
		r.expect("2: " + full)
		_ = a.ws.CloseNow()
		r.expect()
		_ = b.ws.CloseNow()
		r.expect("0: "+gone, "1: "+gone)
	})
}

func TestADeliveryIsSupersededByItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4}}}, func(f *fixture) {
			f.socket.ChannelWith("room:*", websocket.ChannelConfig{
				Overflow: websocket.DropOldest,
				Conflate: func(event string, _ websocket.Payload) string { return event },
			}, func(user, string) websocket.Handler { return &app{} })
		})
		r := &reports{f: f}
		p := f.connect("1")
		p.join(1, "room:a")
		synctest.Wait()
		for n := range 3 {
			r.deliver("room:a", n)
			synctest.Wait() // the first one is being written
		}
		r.expect("1: " + superseded)
		p.expect(`[null,null,"room:a","e",{"n":0}]`)
		p.expect(`[null,null,"room:a","e",{"n":2}]`)
		r.expect("0: written", "2: written")
	})
}

func TestADeliveryThatNoClientCanTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {}}})
		c, _, err := f.dial("vsn=1.0.0&user=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, ws: c}
		p.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`)
		p.read()
		var got []error
		if err := f.endpoint.Deliver(t.Context(), "room:a", "e", websocket.Binary{1}, func(r websocket.Report) { got = append(got, r.Err) }); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Error() != unfit {
			t.Errorf("reported %v", got)
		}
	})
}

// TestADeliveryDuringAJoin is tried when the topic gets its subscription: it
// follows the reply to the join, also on a topic whose clients resume.
func TestADeliveryDuringAJoin(t *testing.T) {
	for _, topic := range []string{"room:a", "kept:a"} {
		synctest.Test(t, func(t *testing.T) {
			f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{})
			r := &reports{f: f}
			p := f.connect("1")
			changed := make(chan struct{}, 9)
			w := f.endpoint.PubSub().Watch(topic, func() { changed <- struct{}{} })
			defer w.Stop()
			done := make(chan struct{})
			go func() {
				defer close(done)
				<-changed
				r.deliver(topic, 1)
			}()
			p.send(`["1","1",%q,"phx_join",{}]`, topic)
			if got := p.frame(); got.event != "phx_reply" {
				t.Errorf("%s first", got.event)
			}
			if got := p.frame(); got.event != "e" {
				t.Errorf("then %s", got.event)
			}
			<-done
			want := "1: written"
			if topic == "kept:a" {
				want += " (kept)"
			}
			r.expect(want)
		})
	}
}

func TestADeliveryWaitsInTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 2}}}, &app{})
		r := &reports{f: f}
		r.deliver("kept:a", 0) // neither delivered nor kept
		r.expect("0: " + noSubscriber)
		p := f.connect("1")
		at := p.resume(1, "kept:a", `{}`)
		if at.Offset != 0 {
			t.Fatalf("%+v", at)
		}
		synctest.Wait()
		for n := range 6 { // two are queued, four wait in the history
			r.deliver("kept:a", n)
		}
		r.expect()
		p.expectKept(1, "kept:a", 1, 4)
		written := []string{"0: written (kept)", "1: written (kept)", "2: written (kept)", "3: written (kept)"}
		lost := []string{"4: " + gone + " (kept)", "5: " + gone + " (kept)"}
		if fifth := "4: written (kept)"; r.has(fifth) { // in one write with the fourth
			written, lost = append(written, fifth), lost[1:]
		}
		r.expect(written...)
		_ = p.ws.CloseNow()
		r.expect(lost...)
		p = f.connect("1")
		at.Offset = 4
		p.resume(1, "kept:a", at.params())
		p.expectKept(1, "kept:a", 5, 6)
		r.expect()
	})
}

// TestDeliveriesThatWaitEndWithTheirChannel: the handler is busy, the client is
// gone.
func TestDeliveriesThatWaitEndWithTheirChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 2}}}, &app{
			in: func(ctx context.Context, _ *websocket.Channel, _ string, _ websocket.Payload) (websocket.Reply, error) {
				pass(3 * time.Second)
				return websocket.Reply{}, ctx.Err()
			},
		})
		r := &reports{f: f}
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		p.send(`["1","2","kept:a","wait",{}]`)
		synctest.Wait()
		for n := range 3 {
			r.deliver("kept:a", n)
		}
		_ = p.ws.CloseNow()
		r.expect("0: "+gone+" (kept)", "1: "+gone+" (kept)", "2: "+gone+" (kept)")
		r.deliver("kept:a", 3)
		r.expect("3: " + gone + " (kept)")
	})
}

func TestReasonsAreWrapped(t *testing.T) {
	if !errors.Is(websocket.ErrQueueFull, pubsub.ErrFull) || !errors.Is(websocket.ErrConflated, pubsub.ErrSuperseded) {
		t.Error("a reason of a push does not wrap that of a delivery")
	}
}

// hooked is a history that calls a function before each look.
type hooked struct {
	*pubsub.Memory
	look func()
}

func (h *hooked) Since(ctx context.Context, topic string, after pubsub.Position) ([]pubsub.Record, pubsub.Position, error) {
	h.look()
	return h.Memory.Since(ctx, topic, after)
}

// TestADeliveryBetweenTheSubscriptionAndTheHistory reaches the client that joins,
// although the history ends after it when the join looks.
func TestADeliveryBetweenTheSubscriptionAndTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
		if err != nil {
			t.Fatal(err)
		}
		history := &hooked{Memory: memory}
		hub, err := pubsub.New(pubsub.Config{History: history})
		if err != nil {
			t.Fatal(err)
		}
		f := start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{PubSub: hub}}, func(f *fixture) {
			f.socket.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return &app{} })
		})
		r := &reports{f: f}
		history.look = func() {
			if hub.Subscribers("kept:a") == 1 {
				history.look = func() {}
				r.deliver("kept:a", 0)
			}
		}
		p := f.connect("1")
		if at := p.resume(1, "kept:a", `{}`); at.Offset != 0 || at.Recovered || at.Reason != "new" {
			t.Errorf("%+v", at)
		}
		p.expectKept(1, "kept:a", 1, 1)
		r.expect("0: written (kept)")
	})
}

// TestDeliveriesThatWaitWhenTheClientLeaves: the connection stays open.
func TestDeliveriesThatWaitWhenTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 2}}}, &app{})
		r := &reports{f: f}
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		for n := range 4 {
			r.deliver("kept:a", n)
		}
		p.send(`["1","2","kept:a","phx_leave",{}]`)
		r.expect("2: "+gone+" (kept)", "3: "+gone+" (kept)")
		p.expectKept(1, "kept:a", 1, 2)
		r.expect("0: written (kept)", "1: written (kept)")
	})
}
