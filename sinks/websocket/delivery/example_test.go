package delivery_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

// Push is what a user is sent.
type Push struct {
	UserID string `json:"-"`
	Text   string `json:"text"`
}

// The push pipeline: what is pushed for a user reaches the user's channels,
// one push at a time, whatever others are sent.
func ExampleNew() {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		log.Fatal(err)
	}
	socket := websocket.NewSocket(websocket.SocketConfig[string]{
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (string, error) { return r.Params.Get("user"), nil },
	})
	socket.Channel("user:*", func(user, topic string) websocket.Handler {
		return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
			if topic != "user:"+user {
				return nil, websocket.Refuse("unauthorized")
			}
			return nil, nil
		})
	})
	if err := endpoint.Mount("/socket", socket, websocket.MountConfig{}); err != nil {
		log.Fatal(err)
	}

	queue := stage.Must(producer.NewQueue(producer.QueueConfig[Push]{}))
	users := stage.Must(fair.New(func(p Push) string { return p.UserID }, fair.Config[Push]{}))
	sockets, err := delivery.New(endpoint, delivery.Config[Push]{
		Topic: func(p Push) string { return "user:" + p.UserID }, Event: "push",
	})
	if err != nil {
		log.Fatal(err)
	}
	source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[Push]{Dispatcher: users}))
	sink := stage.Must(stage.NewConsumer(sockets, stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- stage.Run(ctx, source, sink) }()

	// What is pushed before the user is there waits for a while.
	if err := queue.Push(ctx, Push{UserID: "42", Text: "hello"}); err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(endpoint)
	defer server.Close()
	conn, _, err := client.Dial(ctx, strings.Replace(server.URL, "http", "ws", 1)+"/socket/websocket?vsn=2.0.0&user=42", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := conn.Write(ctx, client.MessageText, []byte(`["1","1","user:42","phx_join",{}]`)); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", frame)
	}

	stop() // drains: the push has its receipt when Run returns
	fmt.Println(<-ended, sockets.Snapshot().Delivered)
	go func() { _ = conn.Close(client.StatusNormalClosure, "") }()
	if err := endpoint.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ["1","1","user:42","phx_reply",{"response":{},"status":"ok"}]
	// [null,null,"user:42","push",{"text":"hello"}]
	// <nil> 1
}
