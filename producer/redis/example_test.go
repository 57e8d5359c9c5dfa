package redis_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer/redis"
	"github.com/penstock-go/penstock/retry"
)

func ExampleNewProducer() {
	orders, err := redis.NewProducer(redis.Config[int]{
		Options: &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}, // where no Redis is
		Streams: []string{"orders"},
		Group:   "billing",
		Decode:  func(e redis.Entry) (int, error) { return strconv.Atoi(e.Values["amount"]) },
		// Without MaxAttempts the source waits until there is one.
		Retry:  retry.Policy{MaxAttempts: 3, Backoff: time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := pipeline.New(pipeline.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	in := pipeline.From(p, orders, pipeline.SourceConfig[int]{})
	pipeline.Each(in, func(_ context.Context, amount int) error {
		fmt.Println(amount) // nil is the receipt: the entry is acknowledged
		return nil
	}, pipeline.StepConfig[int]{})
	err = p.Run(context.Background())
	fmt.Println("failed:", err != nil, "after", orders.Snapshot().Errors >= 3)
	// Output:
	// failed: true after true
}

func ExampleNewWriter() {
	w, err := redis.NewWriter(redis.WriterConfig{
		Options: &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}, // where no Redis is
		Stream:  "orders",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = w.Append(context.Background(), map[string]string{"amount": "7"})
	fmt.Println("accepted:", err == nil)
	fmt.Println("closed:", w.Close())
	// Output:
	// accepted: false
	// closed: <nil>
}
