package penstock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

// note is an event of the front page's program, with a number.
type note struct {
	UserID string `json:"-"`
	N      int    `json:"n"`
}

// front is the pipeline of the front page's program: a queue, fair, sockets, all with
// their defaults but for the queue.
type front struct {
	t        *testing.T
	endpoint *websocket.Endpoint
	queue    *producer.Queue[note]
	source   *stage.ProducerStage[note]
	stop     context.CancelFunc
	ended    chan error
}

func newFront(t *testing.T, cfg producer.QueueConfig[note]) *front {
	t.Helper()
	f := &front{t: t, ended: make(chan error, 1)}
	f.endpoint = stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
	f.queue = stage.Must(producer.NewQueue(cfg))
	users := stage.Must(fair.New(func(n note) string { return n.UserID }, fair.Config[note]{}))
	sockets := stage.Must(delivery.New(f.endpoint, delivery.Config[note]{
		Topic: func(n note) string { return "user:" + n.UserID }, Event: "push",
	}))
	f.source = stage.Must(stage.NewProducer(f.queue, stage.ProducerConfig[note]{Name: "source", Dispatcher: users}))
	sink := stage.Must(stage.NewConsumer(sockets, stage.ConsumerConfig{Name: "sink"}))
	stage.Must(sink.Subscribe(f.source, stage.SubscribeConfig{}))
	socket := websocket.NewSocket(websocket.SocketConfig[struct{}]{
		Connect: func(context.Context, *websocket.ConnectRequest) (struct{}, error) { return struct{}{}, nil },
	})
	socket.Channel("user:*", func(struct{}, string) websocket.Handler {
		return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return nil, nil })
	})
	if err := f.endpoint.Mount("/socket", socket, websocket.MountConfig{Timeouts: websocket.Timeouts{Idle: 24 * time.Hour}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	line := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: time.Hour}, f.source, sink))
	go func() { f.ended <- line.Run(ctx) }()
	synctest.Wait()
	return f
}

// join has a client join the channel of a user.
func (f *front) join(user string) (*channeltest.Client, *channeltest.Channel) {
	f.t.Helper()
	c := channeltest.Connect(f.t, f.endpoint, "/socket/websocket")
	return c, c.Join("user:"+user, nil)
}

// end drains the pipeline, which must lose nothing of its own, and closes the endpoint.
func (f *front) end() {
	f.t.Helper()
	f.stop()
	if err := <-f.ended; err != nil {
		f.t.Errorf("Run: %v", err)
	}
	synctest.Wait()
	snap, err := f.source.Snapshot(context.Background())
	if err != nil || len(snap.Discarded) > 0 || snap.Abandoned > 0 {
		f.t.Errorf("discarded %v, abandoned %d (%v)", snap.Discarded, snap.Abandoned, err)
	}
	if s := f.queue.Snapshot(); s.Discarded > 0 || s.Waiting > 0 {
		f.t.Errorf("queue: %+v", s)
	}
}

// shut closes the endpoint.
func (f *front) shut() {
	if err := f.endpoint.Close(context.Background()); err != nil {
		f.t.Error(err)
	}
}

// got checks that a client has the pushes from 0 to n-1, once and in order.
func got(t *testing.T, user string, ch *channeltest.Channel, n int) {
	t.Helper()
	list := ch.Received("push")
	if len(list) != n {
		t.Errorf("user %s has %d of %d pushes", user, len(list), n)
	}
	for i, text := range list {
		var p note
		if err := json.Unmarshal(text, &p); err != nil || p.N != i {
			t.Fatalf("user %s: push %d is %s (%v)", user, i, text, err)
		}
	}
}

// The front page's program delivers 5,000 pushes of one user, and of many, to clients of
// which one reads slowly: each once, in the order of its user.
func TestReadmeProgramLosesNothing(t *testing.T) {
	for _, users := range []int{1, 7, 500} {
		t.Run(fmt.Sprintf("%d users", users), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 5000
				f := newFront(t, producer.QueueConfig[note]{})
				channels := make([]*channeltest.Channel, users)
				var slow *channeltest.Client
				for i := range channels {
					c, ch := f.join(fmt.Sprint(i))
					if channels[i] = ch; i == 0 {
						slow = c
					}
				}
				stop := make(chan struct{})
				paused := make(chan struct{})
				go func() {
					defer close(paused)
					for reads := false; ; reads = !reads {
						if slow.Pause(); reads {
							slow.Resume()
						}
						select {
						case <-time.After(300 * time.Millisecond):
						case <-stop:
							slow.Resume()
							return
						}
					}
				}()
				for i := range n {
					if err := f.queue.Push(context.Background(), note{fmt.Sprint(i % users), i / users}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				close(stop)
				<-paused
				f.end()
				for i, ch := range channels {
					got(t, fmt.Sprint(i), ch, (n-i+users-1)/users)
				}
				f.shut()
			})
		})
	}
}

// With a bound for each user at the door, the user who floods is refused there once they
// have as many unfinished pushes as they may have. No other push is, nothing that was accepted
// is lost, and the others have their pushes at once.
func TestFloodIsRefusedAtTheDoorAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, producer.QueueConfig[note]{Key: func(n note) string { return n.UserID }})
		flooder, flooded := f.join("flooder")
		_, light := f.join("light")
		flooder.Pause()
		accepted, refused, lights := 0, 0, 0
		for i := range 5000 {
			switch err := f.queue.TryPush(note{"flooder", accepted}); {
			case err == nil:
				accepted++
			case errors.Is(err, producer.ErrKeyFull):
				refused++
			default:
				t.Fatal(err)
			}
			if i%50 == 0 {
				if err := f.queue.TryPush(note{"light", lights}); err != nil {
					t.Fatalf("the light user's push %d: %v", lights, err)
				}
				synctest.Wait()
				light.AssertBroadcast("push", note{N: lights})
				lights++
			}
		}
		if accepted != producer.DefaultKeyMaxEvents || accepted+refused != 5000 {
			t.Errorf("%d accepted and %d refused of 5,000", accepted, refused)
		}
		flooder.Resume()
		f.end()
		got(t, "flooder", flooded, accepted)
		got(t, "light", light, 0) // all were taken above
		f.shut()
	})
}
