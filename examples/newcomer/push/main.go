// Command push delivers the records of the Kafka topic pushes to the browsers of the users
// that are their keys. Users share fairly; a record is committed when a client has it.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

func main() {
	endpoint := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
	socket := websocket.NewSocket(websocket.SocketConfig[string]{
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (string, error) {
			return r.Params.Get("user"), nil // a real program checks a token here
		},
	})
	socket.Channel("user:*", websocket.Private)
	if err := endpoint.Mount("/socket", socket, websocket.MountConfig{}); err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.ListenAndServe(os.Args[2], endpoint)) }()

	p := pipeline.New(pipeline.Config{Name: "push"})
	records := pipeline.From(p, stage.Must(kafka.NewProducer(kafka.Config[*kgo.Record]{
		Brokers: []string{os.Args[1]}, Topics: []string{"pushes"}, Group: "push",
		Decode: func(r *kgo.Record) (*kgo.Record, error) { return r, nil },
	})), pipeline.SourceConfig[*kgo.Record]{})
	users := pipeline.Fair(records, func(r *kgo.Record) string { return string(r.Key) }, fair.Config[*kgo.Record]{})
	pipeline.To(users, func() (stage.Consumer[*kgo.Record], error) {
		return delivery.New(endpoint, delivery.Config[*kgo.Record]{
			Topic: func(r *kgo.Record) string { return "user:" + string(r.Key) }, Event: "push",
			Payload: func(r *kgo.Record) (any, error) { return json.RawMessage(r.Value), nil },
		})
	}, pipeline.StageConfig{})
	if err := p.RunUntilSignal(); err != nil {
		log.Fatal(err)
	}
}
