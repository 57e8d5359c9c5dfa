package penstock_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/gostreams"
	otelmetrics "github.com/penstock-go/penstock/metrics/otel"
	"github.com/penstock-go/penstock/metrics/prometheus"
	"github.com/penstock-go/penstock/metrics/statsd"
	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/middleware"
	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/producer/postgres"
	"github.com/penstock-go/penstock/producer/redis"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	natshistory "github.com/penstock-go/penstock/pubsub/nats/history"
	redisremote "github.com/penstock-go/penstock/pubsub/redis"
	redishistory "github.com/penstock-go/penstock/pubsub/redis/history"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/stagetest"
	"github.com/penstock-go/penstock/token"
	"github.com/penstock-go/penstock/trace/otel"
)

// refusal is the error of a constructor.
func refusal[T any](_ T, err error) error { return err }

// wrongStep returns the error of a pipeline to which build adds a step.
func wrongStep(build func(in *pipeline.Flow[int])) error {
	p := pipeline.New(pipeline.Config{})
	source := stage.ProducerFunc[int](func(context.Context, int, *stage.Emitter[int]) error { return nil })
	build(pipeline.From(p, source, pipeline.SourceConfig[int]{}))
	return p.Err()
}

// TestOneErrorForRefusedOptions: a constructor of any package refuses an option
// with the same type, and its text says what is allowed. A program that has only
// package stage at hand finds them all.
func TestOneErrorForRefusedOptions(t *testing.T) {
	endpoint := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
	nothing := func(context.Context, []int) error { return nil }
	letters := deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error { return nil })
	var noContext context.Context
	emitter := func(name string) *stage.ProducerStage[int] {
		f := stage.ProducerFunc[int](func(context.Context, int, *stage.Emitter[int]) error { return nil })
		return stage.Must(stage.NewProducer(f, stage.ProducerConfig[int]{Name: name}))
	}
	for _, tc := range []struct {
		owner, option string
		err           error
	}{
		{`stage "x"`, "BufferSize", refusal(stage.NewProducer(stage.ProducerFunc[int](func(context.Context, int, *stage.Emitter[int]) error { return nil }), stage.ProducerConfig[int]{Name: "x", BufferSize: -2}))},
		{"stage.Pipeline", "stages[0]", stage.Run(t.Context(), nil)},
		{"stage.Pipeline", "stages", stage.Run(t.Context())},
		{"stage.Pipeline", "ctx", stage.Run(noContext, emitter("run"))},
		{`stage "start"`, "ctx", emitter("start").Start(noContext)},
		{"stagetest", "handler", refusal(stagetest.NewProducer[int](t.Context(), nil))},
		{"stagetest", "handler", refusal(stagetest.NewProducerConsumer[int, int](t.Context(), nil))},
		{"stagetest", "ctx", refusal(stagetest.NewConsumer(noContext, stage.ConsumerFunc[int](nothing)))},
		{"middleware.Log", "Slow", refusal(middleware.Log(middleware.LogConfig[int]{Slow: -1}))},
		{"middleware.Trace", "Start", refusal(middleware.Trace[int](middleware.TraceConfig{}))},
		{"middleware.Timeout", "d", refusal(middleware.Timeout[int](0))},
		{"middleware.Online", "Online", refusal(middleware.Online(middleware.OnlineConfig[int]{}))},
		{"middleware.Deduplicator", "Key", refusal(middleware.NewDeduplicator(middleware.DeduplicatorConfig[int]{}))},
		{"middleware.Breaker", "Ratio", refusal(middleware.NewBreaker(middleware.BreakerConfig{Ratio: 2}))},
		{"dispatcher.Partition", "hash", refusal(dispatcher.NewPartition[int](1, nil, dispatcher.PartitionConfig{}))},
		{"pipeline.Pipeline", "DrainTimeout", pipeline.New(pipeline.Config{DrainTimeout: -1}).Err()},
		{"pipeline.Pipeline", "steps", pipeline.New(pipeline.Config{}).Run(t.Context())},
		{"pipeline.Pipeline", "ctx", pipeline.New(pipeline.Config{}).Run(noContext)},
		{`pipeline step "parse"`, "f", wrongStep(func(in *pipeline.Flow[int]) {
			pipeline.Map[int, int](in, nil, pipeline.StepConfig[int]{Name: "parse"})
		})},
		{`pipeline step "store"`, "Workers", wrongStep(func(in *pipeline.Flow[int]) {
			pipeline.Each(in, func(context.Context, int) error { return nil }, pipeline.StepConfig[int]{Name: "store", Workers: -1})
		})},
		{`pipeline step "batch-2"`, "Workers", wrongStep(func(in *pipeline.Flow[int]) {
			pipeline.Batch(in, pipeline.BatchConfig[int]{Workers: 2})
		})},
		{`pipeline step "write"`, "f", wrongStep(func(in *pipeline.Flow[int]) {
			pipeline.EachBatch(in, nil, pipeline.BatchConfig[int]{Name: "write"})
		})},
		{`pipeline step "map-batch-2"`, "SizeOf", wrongStep(func(in *pipeline.Flow[int]) {
			pipeline.MapBatch(in, func(_ context.Context, list []int) ([]int, error) { return list, nil }, pipeline.BatchConfig[int]{Bytes: 1})
		})},
		{`pipeline step "sink"`, "make", wrongStep(func(in *pipeline.Flow[int]) { pipeline.To(in, nil, pipeline.StageConfig{Name: "sink"}) })},
		{`pipeline step "fair-2"`, "Credits", wrongStep(func(in *pipeline.Flow[int]) {
			pipeline.Fair(in, func(v int) int { return v }, fair.Config[int]{Credits: 65})
		})},
		{"fair.Dispatcher", "Credits", refusal(fair.New(func(v int) int { return v }, fair.Config[int]{Credits: 65}))},
		{"producer.Queue", "Capacity", refusal(producer.NewQueue(producer.QueueConfig[int]{Capacity: -1}))},
		{"producer.Queue", "KeyMaxEvents", refusal(producer.NewQueue(producer.QueueConfig[int]{KeyMaxEvents: 1}))},
		{"producer.Seq", "seq", refusal(producer.NewSeq[int](nil, producer.SeqConfig[int]{}))},
		{"pipeline.Pipeline", "Rate.PerSecond", pipeline.New(pipeline.Config{}).SetRate(pipeline.Rate{PerSecond: -1})},
		{"producer.Ticker", "Every", refusal(producer.NewTicker(producer.TickerConfig{Every: 1}))},
		{"producer.Chan", "ch", refusal(producer.NewChan[int](nil, producer.ChanConfig[int]{}))},
		{"kafka.Producer", "Brokers", refusal(kafka.NewProducer(kafka.Config[int]{}))},
		{"redis.Producer", "Options", refusal(redis.NewProducer(redis.Config[int]{}))},
		{"redis.Writer", "Options", refusal(redis.NewWriter(redis.WriterConfig{}))},
		{"postgres.Producer", "Pool", refusal(postgres.NewProducer(postgres.Config[int]{}))},
		{"kafka.Writer", "Brokers", refusal(kafka.NewWriter(kafka.WriterConfig{}))},
		{"kafka.DeadLetters", "Topic", refusal(kafka.NewDeadLetters(kafka.WriterConfig{Brokers: []string{"b:1"}}))},
		{"kafka.Transactor", "Topics", refusal(kafka.NewTransactor(kafka.TransactorConfig{Brokers: []string{"b:1"}}))},
		{"kafka.Transactor", "Retry.MaxAttempts", refusal(kafka.NewTransactor(kafka.TransactorConfig{
			Brokers: []string{"b:1"}, Topics: []string{"t"}, Group: "g", ID: "i", Retry: retry.Policy{MaxAttempts: -1},
			Transform: func(context.Context, []*kgo.Record) ([]*kgo.Record, error) { return nil, nil },
		}))},
		{"kafka.Share", "Size", refusal(kafka.NewShare(kafka.ShareConfig[int]{
			Brokers: []string{"b:1"}, Topics: []string{"t"}, Group: "g", Size: -1, Decode: func(*kgo.Record) (int, error) { return 0, nil },
		}))},
		{"kafka.Retries", "DeadTopic", refusal(kafka.NewRetries(kafka.RetriesConfig{Brokers: []string{"b:1"}, Topics: []string{"t"}}))},
		{"embeddedkafka", "Brokers", refusal(embeddedkafka.Start(embeddedkafka.Config{Brokers: -1}))},
		{"consumer.ForEach", "f", refusal(consumer.ForEach[int](nil))},
		{"consumer.ForEach", "Retry.Backoff", refusal(consumer.NewForEach(func(context.Context, int) error { return nil }, consumer.ForEachConfig[int]{Retry: retry.Policy{Backoff: -1}}))},
		{"consumer.Batch", "Size", refusal(consumer.NewBatch(nothing, consumer.BatchConfig[int]{Size: math.MaxInt}))},
		{"consumer.Supervisor", "work", refusal(consumer.NewSupervisor[int](nil, consumer.SupervisorConfig[int]{}))},
		{"deadletter.Writer", "sink", refusal(deadletter.NewWriter(nil, deadletter.WriterConfig{}))},
		{"deadletter.Writer", "MaxBackoff", refusal(deadletter.NewWriter(letters, deadletter.WriterConfig{Backoff: 2, MaxBackoff: 1}))},
		{"deadletter.File", "path", refusal(deadletter.NewFile("", deadletter.FileConfig{}))},
		{"deadletter.File", "MaxBytes", refusal(deadletter.NewFile("x", deadletter.FileConfig{MaxBytes: -1}))},
		{"deadletter.Memory", "Max", refusal(deadletter.NewMemory(deadletter.MemoryConfig{Max: -1}))},
		{"gostreams.Source", "outlet", refusal(gostreams.NewSource[int](nil, gostreams.SourceConfig[int]{}))},
		{"gostreams.Sink", "sink", refusal(gostreams.NewSink[int](nil, gostreams.SinkConfig{}))},
		{"pubsub.Hub", "Shards", refusal(pubsub.New(pubsub.Config{Shards: -1}))},
		{"pubsub.Memory", "Topics", refusal(pubsub.NewMemory(pubsub.MemoryConfig{}))},
		{"nats.Remote", "Prefix", refusal(nats.New(nats.Config{Prefix: "a..b"}))},
		{"redis.Remote", "Prefix", refusal(redisremote.New(redisremote.Config{Prefix: "a b"}))},
		{"history.History", "js", refusal(natshistory.New(t.Context(), nil, natshistory.Config{Topics: []string{"a"}}))},
		{"history.History", "Topics", refusal(redishistory.New(redishistory.Config{}))},
		{"embedded.Server", "Join", refusal(embedded.Start(embedded.Config{Join: []string{"nowhere"}}))},
		{"presence.Tracker", "Hub", refusal(presence.New(presence.Config{}))},
		{"websocket.Endpoint", "Limits.Connections", refusal(websocket.NewEndpoint(websocket.EndpointConfig{Limits: websocket.EndpointLimits{Connections: -2}}))},
		{"websocket.Endpoint", "Limits.HungHandlers", refusal(websocket.NewEndpoint(websocket.EndpointConfig{Limits: websocket.EndpointLimits{HungHandlers: -1}}))},
		{"websocket.Endpoint", "Limits.Backlog", refusal(websocket.NewEndpoint(websocket.EndpointConfig{Limits: websocket.EndpointLimits{Backlog: -1}}))},
		{"websocket.Endpoint", "Limits.AtPerID", refusal(websocket.NewEndpoint(websocket.EndpointConfig{Limits: websocket.EndpointLimits{AtPerID: 2}}))},
		{"websocket.Endpoint", "Origins", refusal(websocket.NewEndpoint(websocket.EndpointConfig{Origins: []string{"null"}}))},
		{"websocket.Origins", "entries", refusal(websocket.Origins())},
		{"websocket.CheckHost", "hosts", refusal(websocket.CheckHost(http.NotFoundHandler(), "*"))},
		{"websocket.ForwardedFor", "Networks", refusal(websocket.ForwardedFor(websocket.Proxies{}))},
		{"websocket.Endpoint.Mount", "socket", endpoint.Mount("/socket", nil, websocket.MountConfig{})},
		{"websocket.NewServer", "Limits.Headers", refusal(websocket.NewServer(http.NotFoundHandler(), websocket.ServerConfig{Limits: websocket.ServerLimits{Headers: -1}}))},
		{"delivery.Consumer", "endpoint", refusal(delivery.New[int](nil, delivery.Config[int]{}))},
		{"otel.Recorder", "Provider", refusal(otelmetrics.New(otelmetrics.Config{}))},
		{"prometheus.Recorder", "Namespace", refusal(prometheus.New(prometheus.Config{Namespace: "a b"}))},
		{"prometheus.Recorder", "Buckets", refusal(prometheus.New(prometheus.Config{Buckets: []time.Duration{2, 1}}))},
		{"statsd.Recorder", "MaxSeries", refusal(statsd.New(statsd.Config{MaxSeries: -1}))},
		{"statsdserver.Server", "MaxSeries", refusal(statsdserver.Listen(statsdserver.Config{MaxSeries: -1}))},
		{"dashboard.Dashboard", "parts", refusal(dashboard.New(dashboard.Config{}))},
		{"dashboard.Dashboard", "parts[1]", refusal(dashboard.New(dashboard.Config{}, dashboard.Topics("t", stage.Must(pubsub.New(pubsub.Config{}))), dashboard.Pipeline(nil)))},
		{"dashboard.Dashboard", "parts[0].Kind", refusal(dashboard.New(dashboard.Config{}, dashboard.Part{}))},
		{"dashboard.Dashboard", "Interval", refusal(dashboard.New(dashboard.Config{Interval: -1}, dashboard.Part{}))},
		{"dashboard.Dashboard", "MaxViewers", refusal(dashboard.New(dashboard.Config{MaxViewers: -1}, dashboard.Part{}))},
		{"otel.Tracer", "Provider", refusal(otel.New(otel.Config{}))},
		{"token.Phoenix", "SecretKeyBase", refusal(token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: "short"}))},
		{"token.JWT", "Leeway", refusal(token.NewJWT(token.JWTConfig{Secret: make([]byte, 32), Leeway: -1}))},
		{"token.JWT", "Secret", refusal(token.NewJWT(token.JWTConfig{Secret: []byte("short")}))},
	} {
		var refused *stage.OptionError
		if !errors.As(tc.err, &refused) {
			t.Errorf("%s %s: %v", tc.owner, tc.option, tc.err)
			continue
		}
		if refused.Owner != tc.owner || refused.Option != tc.option || refused.Allowed == "" {
			t.Errorf("%s %s: %+v", tc.owner, tc.option, *refused)
		}
		text := tc.err.Error()
		if want := tc.owner + ": option " + tc.option + " refused: "; !strings.HasPrefix(text, want) || strings.Contains(text, "short") {
			t.Errorf("%q does not begin with %q, or has a secret", text, want)
		}
	}
}
