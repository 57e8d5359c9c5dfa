package websocket_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestASlowClientIsGivenTheRestLater: a full queue is no gap. What finds no
// room waits in the history, whatever the policy of the mount.
func TestASlowClientIsGivenTheRestLater(t *testing.T) {
	for _, policy := range []websocket.Overflow{websocket.CloseSlow, websocket.DropNewest, websocket.DropOldest} {
		synctest.Test(t, func(t *testing.T) {
			f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4, Overflow: policy}}}, &app{})
			p := f.connect("1")
			p.resume(1, "kept:a", `{}`)
			synctest.Wait()
			if n := f.broadcast("kept:a", 0, 100); n != 100 {
				t.Errorf("%d were taken", n)
			}
			synctest.Wait()
			if s := f.endpoint.Snapshot(); s.QueuedFrames != 4 || s.SlowCount != 1 {
				t.Errorf("%+v", s)
			}
			p.expectKept(1, "kept:a", 1, 100)
			synctest.Wait()
			f.broadcast("kept:a", 100, 101)
			p.expectKept(1, "kept:a", 101, 101)
			synctest.Wait()
			if n := f.metrics.get("websocket.discarded,reason:queue_full"); n != 0 {
				t.Errorf("%v discarded", n)
			}
		})
	}
}

// TestASlowClientBehindTheHistoryIsClosed: it joins again and is told.
func TestASlowClientBehindTheHistoryIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{Events: 10}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4}}}, &app{})
		p := f.connect("1")
		at := p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		f.broadcast("kept:a", 0, 50)
		synctest.Wait()
		p.expectKept(1, "kept:a", 1, 4)
		if code := p.closed(); code != 1013 {
			t.Errorf("closed with %d, want 1013", code)
		}
		f.closedSlow("history", 1)
		p = f.connect("1")
		at.Offset = 4
		if got := p.resume(1, "kept:a", at.params()); got != (position{Epoch: at.Epoch, Offset: 50, Reason: "history"}) {
			t.Errorf("%+v", got)
		}
		f.broadcast("kept:a", 50, 51)
		p.expectKept(1, "kept:a", 51, 51)
	})
}

// TestOthersDoNotDropWhatIsKept: another channel's policy finds only its own.
func TestOthersDoNotDropWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4, Overflow: websocket.DropOldest}}}, &app{})
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		p.join(2, "room:a")
		synctest.Wait()
		f.broadcast("kept:a", 0, 1)
		synctest.Wait() // it is being written; the others wait
		f.broadcast("kept:a", 1, 3)
		if n := f.broadcast("room:a", 0, 10); n != 10 {
			t.Errorf("%d were taken", n)
		}
		f.broadcast("kept:a", 3, 6)
		p.expectKept(1, "kept:a", 1, 3)
		p.expect(`[null,null,"room:a","e",{"n":9}]`)
		p.expectKept(1, "kept:a", 4, 6)
	})
}

// TestALongRecordGoesAlone: one that is longer than the queue may be.
func TestALongRecordGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Bytes: 200}}}, &app{})
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		for range 3 {
			if n, err := f.endpoint.Broadcast(t.Context(), "kept:a", "e", map[string]string{"x": strings.Repeat("x", 1000)}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		for n := range 3 {
			if got := p.read(); len(got) < 1000 || !strings.HasSuffix(got, fmt.Sprintf(`,"resume_offset":%d}]`, n+1)) {
				t.Errorf("%d: %s", n, got)
			}
		}
	})
}
