package statsd_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/metrics/statsd"
)

type printer struct{ b strings.Builder }

func (p *printer) Write(datagram []byte) (int, error) { return p.b.Write(datagram) }
func (p *printer) Close() error                       { return nil }

func ExampleNew() {
	var out printer
	recorder, err := statsd.New(statsd.Config{
		Prefix: "app",
		// In a program, Address: "statsd.example.com:8125" in its place.
		Dial: func(context.Context) (io.WriteCloser, error) { return &out, nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	joins := recorder.Counter("channel_join", metrics.Tag{Key: "status", Value: "success"})
	delivered := recorder.Timer("pipeline.push_delivered")
	joins.Add(1)
	joins.Add(1)
	delivered.Observe(1500 * time.Microsecond)
	if err := recorder.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(out.b.String())
	fmt.Println("dropped:", recorder.Dropped())
	// Output:
	// app.channel_join:2|c|#status:success
	// app.pipeline.push_delivered:1.5|ms
	// dropped: 0
}

func ExampleTee() {
	seen := metricstest.New()
	recorder := metrics.Tee(metrics.Nop(), seen)
	recorder.Counter("socket_connect").Add(1)
	fmt.Print(seen)
	// Output: counter socket_connect = 1
}

func ExampleNop() {
	metrics.Nop().Counter("socket_connect").Add(1)
	// Output:
}
