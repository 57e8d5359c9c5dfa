package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

// push is an event: n is its number among all, User its key.
type push struct {
	User string
	N    int
	At   time.Time
	Pad  int // bytes that its payload is longer
}

func topicOf(p push) string { return "user:" + p.User }

type payload struct {
	N   int    `json:"n"`
	Pad string `json:"pad,omitempty"`
}

func payloadOf(p push) (any, error) { return payload{N: p.N, Pad: strings.Repeat("x", p.Pad)}, nil }

// rig is an endpoint and a pipeline that ends at its clients.
type rig struct {
	t        *testing.T
	endpoint *websocket.Endpoint
	source   *stage.ProducerStage[push]
	queue    *producer.Queue[push]
	sockets  []*delivery.Consumer[push]
	pipeline *stage.Pipeline
	stop     context.CancelFunc
	ended    chan error
	next     int

	mu   sync.Mutex
	ends map[int][]string // what became of each push
}

type options struct {
	config    delivery.Config[push]
	queue     websocket.QueueConfig
	write     time.Duration // Timeouts.Write
	consumers int
	plain     bool // without a fair dispatcher
	turn      int  // of the fair dispatcher
	resize    int  // Resize before the start; 0: none
	resume    bool
	limits    websocket.EndpointLimits
	hub       *pubsub.Hub // nil: one of its own
}

func start(t *testing.T, o options) *rig {
	t.Helper()
	r := &rig{t: t, ends: make(map[int][]string), ended: make(chan error, 1)}
	hub := o.hub
	if hub == nil {
		hub = newHub(t, o)
	}
	r.endpoint = newEndpoint(t, hub, o)
	r.queue = stage.Must(producer.NewQueue(producer.QueueConfig[push]{Capacity: 100_000}))
	var d dispatcher.Dispatcher[push] = stage.Must(fair.New(func(p push) string { return p.User }, fair.Config[push]{Turn: o.turn}))
	if o.plain {
		d = dispatcher.NewDemand[push]()
	}
	r.source = stage.Must(stage.NewProducer(&acknowledged{Queue: r.queue, r: r}, stage.ProducerConfig[push]{Name: "source", Dispatcher: d}))
	stages := []stage.Stage{r.source}
	for i := range max(1, o.consumers) {
		cfg := o.config
		cfg.Topic, cfg.Event = topicOf, "push"
		if cfg.Payload == nil {
			cfg.Payload = payloadOf
		}
		c, err := delivery.New(r.endpoint, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if o.resize > 0 {
			if err := c.Resize(o.resize); err != nil {
				t.Fatal(err)
			}
		}
		sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{Name: fmt.Sprint("sockets", i)}))
		if _, err := sink.Subscribe(r.source, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		r.sockets = append(r.sockets, c)
		stages = append(stages, sink)
	}
	r.pipeline = stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: time.Minute}, stages...))
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.ended <- r.pipeline.Run(ctx) }()
	synctest.Wait()
	t.Cleanup(func() {
		r.pipeline.Stop(nil)
		<-r.ended
		shut, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.endpoint.Close(shut); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if n := r.endpoint.PubSub().Watches(); n != 0 {
			t.Errorf("%d topics are still watched", n)
		}
	})
	return r
}

func newHub(t *testing.T, o options) *pubsub.Hub {
	t.Helper()
	var cfg pubsub.Config
	if o.resume {
		memory, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"user:*"}})
		if err != nil {
			t.Fatal(err)
		}
		cfg.History = memory
	}
	hub, err := pubsub.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return hub
}

// newEndpoint makes an endpoint with the topics user:ID.
func newEndpoint(t *testing.T, hub *pubsub.Hub, o options) *websocket.Endpoint {
	t.Helper()
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{PubSub: hub, Limits: o.limits})
	if err != nil {
		t.Fatal(err)
	}
	users := websocket.NewSocket(websocket.SocketConfig[string]{
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (string, error) { return r.Params.Get("user"), nil },
		ID:      func(user string) string { return "users:" + user },
	})
	users.ChannelWith("user:*", websocket.ChannelConfig{Resume: o.resume}, func(string, string) websocket.Handler {
		return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return nil, nil })
	})
	if err := endpoint.Mount("/socket", users, websocket.MountConfig{
		Queue: o.queue, Timeouts: websocket.Timeouts{Idle: 24 * time.Hour, Write: o.write},
	}); err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// acknowledged is a source that notes the receipts.
type acknowledged struct {
	*producer.Queue[push]
	r *rig
}

func (a *acknowledged) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	for _, x := range receipts {
		text := x.Outcome.String()
		if x.Reason != "" {
			text = string(x.Reason)
		}
		for seq := range x.Seqs() {
			a.r.ends[int(seq)] = append(a.r.ends[int(seq)], text)
		}
	}
	return nil
}

// push enqueues pushes for users and returns the number of the first.
func (r *rig) push(users ...string) (first int) {
	r.t.Helper()
	first = r.next
	for _, u := range users {
		r.pushPadded(u, 0)
	}
	synctest.Wait()
	return first
}

// pushPadded enqueues a push for a user whose payload is longer.
func (r *rig) pushPadded(user string, pad int) (n int) {
	r.t.Helper()
	n = r.next
	r.next++
	if err := r.queue.TryPush(push{User: user, N: n, At: time.Now(), Pad: pad}); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// expect compares what became of pushes from first on.
func (r *rig) expect(first int, want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range want {
		got := r.ends[first+i]
		if w == "" && len(got) == 0 {
			continue
		}
		if !slices.Equal(got, []string{w}) {
			r.t.Errorf("push %d: %q, want %q", first+i, got, w)
		}
	}
}

func (r *rig) stats(want delivery.Snapshot) {
	r.t.Helper()
	synctest.Wait()
	if got := r.sockets[0].Snapshot(); !reflect.DeepEqual(got, want) {
		r.t.Errorf("stats %+v, want %+v", got, want)
	}
}

// join connects a client and joins the topic of user.
func (r *rig) join(user string) (*channeltest.Client, *channeltest.Channel) {
	r.t.Helper()
	c := channeltest.Connect(r.t, r.endpoint, "/socket/websocket?user="+user)
	ch := c.Join("user:"+user, nil)
	synctest.Wait() // the reply is no longer in the queue
	return c, ch
}

// dropped are the events that a snapshot counts under one reason.
func dropped(reason receipt.Reason, n int64) map[receipt.Reason]int64 {
	return map[receipt.Reason]int64{reason: n}
}

// drain drains the pipeline and returns its error.
func (r *rig) drain() error {
	r.stop()
	err := <-r.ended
	r.ended <- nil // for the cleanup
	return err
}

const (
	done         = "done"
	failed       = "failed"
	noSubscriber = string(delivery.NoSubscriber)
	expired      = string(receipt.Expired)
)

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// pass lets time pass, in a bubble only.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

var errBroken = errors.New("broken")
