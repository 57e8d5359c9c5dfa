package websocket_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestAHookThatEndsItsGoroutine: such a hook takes no writer with it. Its client loses the
// connection, each of the other hooks is called once, and the rest of the clients are served.
func TestAHookThatEndsItsGoroutine(t *testing.T) {
	t.Run("pipes", func(t *testing.T) {
		bubble(t, func(t *testing.T, begin func(s setup) *fixture) { endGoroutines(t, begin) })
	})
	t.Run("TCP", func(t *testing.T) {
		endGoroutines(t, func(s setup) *fixture { return start(t, s) })
	})
}

func endGoroutines(t *testing.T, begin func(s setup) *fixture) {
	joined := make(chan *websocket.Channel, 1)
	f := begin(setup{channels: one("user:*", &app{join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
		joined <- ch
		return nil, nil
	}})})
	const clients, pushes = 8, 60
	for range 4 { // more hooks than there are writers
		var all sync.WaitGroup
		var counts [clients][pushes]int
		var mu sync.Mutex
		told := make(chan struct{}, clients*pushes)
		for i := range counts {
			p := f.connect("1")
			p.join(1, "user:1")
			// A channel pushes after its join only.
			ch := <-joined
			push := func(n int) {
				err := ch.PushWritten("push", nil, func(_ time.Time, err error) {
					mu.Lock()
					counts[i][n]++
					mu.Unlock()
					told <- struct{}{}
					if n == pushes/2 {
						runtime.Goexit()
					}
				})
				if err != nil && !errors.Is(err, websocket.ErrClosed) && !errors.Is(err, websocket.ErrNotJoined) {
					t.Error(err)
				}
			}
			all.Go(func() {
				for n := 0; n < pushes; {
					// A hook may be called, and end the goroutine, within the push.
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						for n < pushes {
							n++
							push(n - 1)
						}
					}()
					<-ended
				}
			})
		}
		all.Wait()
		for range clients * pushes {
			got(t, told)
		}
		mu.Lock()
		for i := range counts {
			for n, times := range counts[i] {
				if times != 1 {
					t.Errorf("client %d: hook %d was called %d times", i, n, times)
				}
			}
		}
		mu.Unlock()
	}
	p := f.connect("1")
	p.join(1, "user:1")
	if err := (<-joined).Push("last", nil); err != nil {
		t.Error(err)
	}
	p.expect(`["1",null,"user:1","last",{}]`)
}
