package penstock_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"
	streams "github.com/reugn/go-streams"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/gostreams"
	"github.com/penstock-go/penstock/metrics/otel"
	"github.com/penstock-go/penstock/metrics/prometheus"
	"github.com/penstock-go/penstock/metrics/statsd"
	"github.com/penstock-go/penstock/pipeline/middleware"
	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/postgres"
	"github.com/penstock-go/penstock/producer/redis"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	redisremote "github.com/penstock-go/penstock/pubsub/redis"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/token"
)

// constructor makes something of a config and closes it.
type constructor struct {
	name string
	cfg  any // a valid one
	make func(cfg any) error
}

type closer interface{ Close() error }

type closing interface{ Close(context.Context) error }

// of is a constructor of a T from a C.
func of[C, T any](name string, cfg C, f func(C) (T, error)) constructor {
	return constructor{name, cfg, func(cfg any) error {
		v, err := f(cfg.(C))
		if err != nil {
			if !reflect.ValueOf(&v).Elem().IsZero() {
				return errors.New("an error and a value")
			}
			return err
		}
		switch c := any(v).(type) {
		case closer:
			_ = c.Close()
		case closing:
			_ = c.Close(context.Background())
		}
		return nil
	}}
}

func nothing(context.Context, []int) error { return nil }

func constructors() []constructor {
	sink := stage.ConsumerFunc[int](nothing)
	source := stage.ProducerFunc[int](func(context.Context, int, *stage.Emitter[int]) error { return nil })
	between := stage.ProducerConsumerFunc[int, int](func(context.Context, []int, *stage.Emitter[int]) error { return nil })
	endpoint := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
	letters := deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error { return nil })
	return []constructor{
		of("stage.NewProducer", stage.ProducerConfig[int]{}, func(c stage.ProducerConfig[int]) (*stage.ProducerStage[int], error) {
			return stage.NewProducer(source, c)
		}),
		of("stage.NewProducerConsumer", stage.ProducerConsumerConfig[int]{}, func(c stage.ProducerConsumerConfig[int]) (*stage.ProducerConsumerStage[int, int], error) {
			return stage.NewProducerConsumer(between, c)
		}),
		of("stage.NewConsumer", stage.ConsumerConfig{}, func(c stage.ConsumerConfig) (*stage.ConsumerStage[int], error) {
			return stage.NewConsumer(sink, c)
		}),
		of("Subscribe", stage.SubscribeConfig{}, func(c stage.SubscribeConfig) (*stage.Subscription[int], error) {
			s := stage.Must(stage.NewConsumer(sink, stage.ConsumerConfig{}))
			return s.Subscribe(stage.Must(stage.NewProducer(source, stage.ProducerConfig[int]{})), c)
		}),
		of("stage.NewPipeline", stage.PipelineConfig{}, func(c stage.PipelineConfig) (*stage.Pipeline, error) {
			return stage.NewPipeline(c, stage.Must(stage.NewProducer(source, stage.ProducerConfig[int]{})))
		}),
		of("consumer.NewForEach", consumer.ForEachConfig[int]{}, func(c consumer.ForEachConfig[int]) (stage.Consumer[int], error) {
			return consumer.NewForEach(func(context.Context, int) error { return nil }, c)
		}),
		of("consumer.NewBatch", consumer.BatchConfig[int]{}, func(c consumer.BatchConfig[int]) (*consumer.Batch[int], error) {
			return consumer.NewBatch(nothing, c)
		}),
		of("consumer.NewSupervisor", consumer.SupervisorConfig[int]{}, func(c consumer.SupervisorConfig[int]) (*consumer.Supervisor[int], error) {
			return consumer.NewSupervisor(func(context.Context, int) error { return nil }, c)
		}),
		of("middleware.Log", middleware.LogConfig[int]{}, func(c middleware.LogConfig[int]) (*int, error) {
			_, err := middleware.Log(c)
			return nil, err
		}),
		of("middleware.Online", middleware.OnlineConfig[int]{Online: func(context.Context, int) bool { return true }}, func(c middleware.OnlineConfig[int]) (*int, error) {
			_, err := middleware.Online(c)
			return nil, err
		}),
		of("middleware.NewDeduplicator", middleware.DeduplicatorConfig[int]{Key: func(int) string { return "" }}, middleware.NewDeduplicator[int]),
		of("middleware.NewBreaker", middleware.BreakerConfig{}, middleware.NewBreaker),
		of("delivery.New", delivery.Config[int]{Topic: func(int) string { return "a" }, Event: "e"}, func(c delivery.Config[int]) (*delivery.Consumer[int], error) {
			return delivery.New(endpoint, c)
		}),
		of("websocket.NewEndpoint", websocket.EndpointConfig{}, websocket.NewEndpoint),
		of("websocket.NewServer", websocket.ServerConfig{}, func(c websocket.ServerConfig) (*http.Server, error) {
			return websocket.NewServer(endpoint, c)
		}),
		of("Mount", websocket.MountConfig{LongPoll: &websocket.LongPollConfig{}}, func(c websocket.MountConfig) (*int, error) {
			e := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
			return nil, e.Mount("/socket", websocket.NewSocket(websocket.SocketConfig[int]{}), c)
		}),
		of("Mount of a socket", websocket.SocketConfig[int]{}, func(c websocket.SocketConfig[int]) (*int, error) {
			e := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
			return nil, e.Mount("/socket", websocket.NewSocket(c), websocket.MountConfig{})
		}),
		of("ChannelWith", websocket.ChannelConfig{}, func(c websocket.ChannelConfig) (*int, error) {
			e := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
			s := websocket.NewSocket(websocket.SocketConfig[int]{})
			s.ChannelWith("a", c, func(int, string) websocket.Handler { return nil })
			return nil, e.Mount("/socket", s, websocket.MountConfig{})
		}),
		of("deadletter.NewWriter", deadletter.WriterConfig{}, func(c deadletter.WriterConfig) (*deadletter.Writer, error) {
			return deadletter.NewWriter(letters, c)
		}),
		of("deadletter.NewFile", deadletter.FileConfig{}, func(c deadletter.FileConfig) (*deadletter.File, error) {
			dir, err := os.MkdirTemp("", "letters")
			if err != nil {
				return nil, err
			}
			defer os.RemoveAll(dir)
			return deadletter.NewFile(filepath.Join(dir, "letters"), c)
		}),
		of("deadletter.NewMemory", deadletter.MemoryConfig{}, deadletter.NewMemory),
		of("statsd.New", statsd.Config{}, statsd.New),
		of("otel.New", otel.Config{Provider: noop.NewMeterProvider()}, otel.New),
		of("prometheus.New", prometheus.Config{}, prometheus.New),
		of("pubsub.NewMemory", pubsub.MemoryConfig{Topics: []string{"a"}}, pubsub.NewMemory),
		of("pubsub.New", pubsub.Config{}, pubsub.New),
		of("nats.New", nats.Config{}, nats.New),
		of("redis.New", redisremote.Config{}, redisremote.New),
		of("presence.New", presence.Config{Hub: stage.Must(pubsub.New(pubsub.Config{}))}, presence.New),
		of("dashboard.New", dashboard.Config{}, func(c dashboard.Config) (*dashboard.Dashboard, error) {
			return dashboard.New(c, dashboard.Sockets("sockets", stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))))
		}),
		of("token.NewJWT", token.JWTConfig{Secret: make([]byte, 32)}, token.NewJWT),
		of("token.NewPhoenix", token.PhoenixConfig{SecretKeyBase: strings.Repeat("a", 64)}, token.NewPhoenix),
		of("dispatcher.NewPartition", dispatcher.PartitionConfig{}, func(c dispatcher.PartitionConfig) (*dispatcher.Partition[int], error) {
			return dispatcher.NewPartition(2, func(int) (int, bool) { return 0, true }, c)
		}),
		of("fair.New", fair.Config[int]{}, func(c fair.Config[int]) (*fair.Dispatcher[int, int], error) {
			return fair.New(func(v int) int { return v }, c)
		}),
		of("producer.NewSeq", producer.SeqConfig[int]{}, func(c producer.SeqConfig[int]) (*producer.Seq[int], error) {
			return producer.NewSeq(func(func(int) bool) {}, c)
		}),
		of("producer.NewSeqFunc", producer.SeqConfig[int]{}, func(c producer.SeqConfig[int]) (*producer.Seq[int], error) {
			return producer.NewSeqFunc(func(context.Context) iter.Seq2[int, error] { return nil }, c)
		}),
		of("producer.NewQueue", producer.QueueConfig[int]{}, producer.NewQueue[int]),
		of("producer.NewChan", producer.ChanConfig[int]{}, func(c producer.ChanConfig[int]) (*producer.Chan[int], error) {
			return producer.NewChan(make(chan int), c)
		}),
		of("producer.NewTicker", producer.TickerConfig{}, producer.NewTicker),
		of("kafka.NewWriter", kafka.WriterConfig{Brokers: []string{"127.0.0.1:1"}, Topic: "t"}, func(c kafka.WriterConfig) (*int, error) {
			w, err := kafka.NewWriter(c)
			if err == nil {
				err = w.Close(context.Background())
			}
			return nil, err
		}),
		of("kafka.NewDeadLetters", kafka.WriterConfig{Brokers: []string{"127.0.0.1:1"}, Topic: "t"}, func(c kafka.WriterConfig) (*int, error) {
			d, err := kafka.NewDeadLetters(c)
			if err == nil {
				err = d.Close(context.Background())
			}
			return nil, err
		}),
		of("kafka.NewProducer", kafka.Config[int]{
			Brokers: []string{"127.0.0.1:1"}, Topics: []string{"t"}, Group: "g", Decode: func(*kgo.Record) (int, error) { return 0, nil },
		}, kafka.NewProducer[int]),
		of("kafka.NewTransactor", kafka.TransactorConfig{
			Brokers: []string{"127.0.0.1:1"}, Topics: []string{"t"}, Group: "g", ID: "i",
			Transform: func(context.Context, []*kgo.Record) ([]*kgo.Record, error) { return nil, nil },
		}, kafka.NewTransactor),
		of("redis.NewProducer", redis.Config[int]{
			Options: &goredis.UniversalOptions{}, Streams: []string{"s"}, Group: "g", Decode: func(redis.Entry) (int, error) { return 0, nil },
		}, redis.NewProducer[int]),
		of("redis.NewWriter", redis.WriterConfig{Options: &goredis.UniversalOptions{}, Stream: "s"}, redis.NewWriter),
		of("postgres.NewProducer", postgres.Config[int]{
			Pool: new(pgxpool.Pool), Queue: "q", Decode: func(postgres.Job) (int, error) { return 0, nil },
		}, postgres.NewProducer[int]),
		of("kafka.NewRetries", kafka.RetriesConfig{Brokers: []string{"127.0.0.1:1"}, Topics: []string{"t"}, DeadTopic: "d"}, func(c kafka.RetriesConfig) (*int, error) {
			r, err := kafka.NewRetries(c)
			if err == nil {
				err = r.Close(context.Background())
			}
			return nil, err
		}),
		of("kafka.NewShare", kafka.ShareConfig[int]{
			Brokers: []string{"127.0.0.1:1"}, Topics: []string{"t"}, Group: "g", Decode: func(*kgo.Record) (int, error) { return 0, nil },
		}, kafka.NewShare[int]),
		of("gostreams.NewSource", gostreams.SourceConfig[int]{}, func(c gostreams.SourceConfig[int]) (*gostreams.Source[int], error) {
			return gostreams.NewSource(flow{make(chan any)}, c)
		}),
		of("gostreams.NewSink", gostreams.SinkConfig{}, func(c gostreams.SinkConfig) (*gostreams.Sink[int], error) {
			return gostreams.NewSink[int](flow{make(chan any)}, c)
		}),
	}
}

// flow is a go-streams source and sink.
type flow struct{ ch chan any }

func (f flow) Out() <-chan any             { return f.ch }
func (f flow) In() chan<- any              { return f.ch }
func (flow) AwaitCompletion()              {}
func (flow) Via(streams.Flow) streams.Flow { return nil }

type remote struct{ pubsub.Remote }

func (*remote) Node() string { return "n" }

type history struct{ pubsub.History }

// absurd returns values that a field could be set to.
func absurd(t reflect.Type) (all []reflect.Value) {
	add := func(values ...any) {
		for _, v := range values {
			all = append(all, reflect.ValueOf(v).Convert(t))
		}
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		add(int64(-1), int64(-2), int64(1), int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64/2+1))
	case reflect.Int32:
		add(int32(-1), int32(math.MinInt32), int32(math.MaxInt32))
	case reflect.Uint8:
		add(uint8(200), uint8(255))
	case reflect.Float64:
		add(math.NaN(), math.Inf(1), math.Inf(-1), -1.0, 1e300, 5e-324)
	case reflect.String:
		add("\x00", " ", "*", "a*b", "%", "a b", strings.Repeat("x", 1<<20), "\xff")
	case reflect.Slice:
		all = append(all, reflect.MakeSlice(t, 0, 0), reflect.MakeSlice(t, 1, 1), reflect.MakeSlice(t, 1000, 1000))
		for _, v := range absurd(t.Elem()) {
			all = append(all, reflect.Append(reflect.MakeSlice(t, 0, 1), v))
		}
	case reflect.Interface:
		for _, v := range []any{
			(*statsd.Recorder)(nil), (*remote)(nil), &remote{}, (*history)(nil), (*dispatcher.Demand[int])(nil), (*pubsub.Memory)(nil),
			-1, []int{}, (func(int) bool)(nil), (*int)(nil),
		} {
			if reflect.TypeOf(v).Implements(t) {
				all = append(all, reflect.ValueOf(v))
			}
		}
	}
	return all
}

// fields calls f with v in which one field has an absurd value, for each.
func fields(v reflect.Value, path string, f func(path string, value any)) {
	for i := range v.NumField() {
		field, name := v.Field(i), path+v.Type().Field(i).Name
		if !field.CanSet() {
			continue
		}
		switch {
		case field.Kind() == reflect.Struct:
			fields(field, name+".", f)
			continue
		case field.Kind() == reflect.Pointer && !field.IsNil() && field.Elem().Kind() == reflect.Struct && strings.HasSuffix(field.Type().Elem().Name(), "Config"):
			fields(field.Elem(), name+".", f)
			continue
		}
		before := reflect.ValueOf(field.Interface())
		if !before.IsValid() {
			before = reflect.Zero(field.Type())
		}
		values := absurd(field.Type())
		if !field.IsZero() {
			values = append(values, reflect.Zero(field.Type()))
		}
		for _, value := range values {
			field.Set(value)
			f(name, value.Interface())
		}
		field.Set(before)
	}
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*stage.OptionError](err)
	return ok
}

// A constructor refuses what it cannot use with an *OptionError, whatever it is.
func TestConstructorsRefuseAbsurdOptions(t *testing.T) {
	for _, c := range constructors() {
		t.Run(c.name, func(t *testing.T) {
			if err := c.make(c.cfg); err != nil {
				t.Fatalf("the valid config is refused: %v", err)
			}
			cfg := reflect.New(reflect.TypeOf(c.cfg)).Elem()
			cfg.Set(reflect.ValueOf(c.cfg))
			fields(cfg, "", func(path string, value any) {
				shown := fmt.Sprintf("%.40v (%T)", fmt.Sprint(value), value)
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("%s = %s: panic: %v", path, shown, p)
					}
				}()
				err := c.make(cfg.Interface())
				if err != nil && !isRefusal(err) {
					t.Errorf("%s = %s: %T: %v", path, shown, err, err)
				}
				if v := reflect.ValueOf(value); err == nil && v.Kind() == reflect.Pointer && v.IsNil() && path != "Partition" && path != "Selector" {
					t.Errorf("%s = %s is not refused", path, shown)
				}
			})
		})
	}
}

// What a constructor needs and is not given it refuses as well.
func TestConstructorsRefuseNil(t *testing.T) {
	var (
		endpoint *websocket.Endpoint
		source   *stage.ProducerStage[int]
		between  *stage.ProducerConsumerStage[int, int]
		sink     *stage.ConsumerStage[int]
		queue    *producer.Queue[int]
		batch    *consumer.Batch[int]
	)
	real := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
	taker := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](nothing), stage.ConsumerConfig{}))
	socket := websocket.NewSocket(websocket.SocketConfig[int]{})
	mount := func(path string, s websocket.Mountable) error { return real.Mount(path, s, websocket.MountConfig{}) }
	hash := func(int) (int, bool) { return 0, true }
	for name, f := range map[string]func() error{
		"producer": func() error { _, err := stage.NewProducer[int](nil, stage.ProducerConfig[int]{}); return err },
		"producer func": func() error {
			_, err := stage.NewProducer(stage.ProducerFunc[int](nil), stage.ProducerConfig[int]{})
			return err
		},
		"producer pointer": func() error { _, err := stage.NewProducer(queue, stage.ProducerConfig[int]{}); return err },
		"producer table": func() error {
			_, err := stage.NewProducer(&stage.ProducerHandlers[int]{}, stage.ProducerConfig[int]{})
			return err
		},
		"consumer": func() error { _, err := stage.NewConsumer[int](nil, stage.ConsumerConfig{}); return err },
		"consumer func": func() error {
			_, err := stage.NewConsumer(stage.ConsumerFunc[int](nil), stage.ConsumerConfig{})
			return err
		},
		"consumer pointer": func() error { _, err := stage.NewConsumer(batch, stage.ConsumerConfig{}); return err },
		"consumer table": func() error {
			_, err := stage.NewConsumer(&stage.ConsumerHandlers[int]{}, stage.ConsumerConfig{})
			return err
		},
		"producer-consumer": func() error {
			_, err := stage.NewProducerConsumer[int, int](nil, stage.ProducerConsumerConfig[int]{})
			return err
		},
		"map": func() error {
			_, err := stage.NewProducerConsumer(stage.MapFunc[int, int](nil), stage.ProducerConsumerConfig[int]{})
			return err
		},
		"producer-consumer table": func() error {
			_, err := stage.NewProducerConsumer(&stage.ProducerConsumerHandlers[int, int]{}, stage.ProducerConsumerConfig[int]{})
			return err
		},
		"subscribe":           func() error { _, err := taker.Subscribe(nil, stage.SubscribeConfig{}); return err },
		"subscribe pointer":   func() error { _, err := taker.Subscribe(source, stage.SubscribeConfig{}); return err },
		"resubscribe pointer": func() error { _, err := taker.Resubscribe(nil, nil, between, stage.SubscribeConfig{}); return err },
		"pipeline":            func() error { _, err := stage.NewPipeline(stage.PipelineConfig{}, nil); return err },
		"pipeline pointer":    func() error { _, err := stage.NewPipeline(stage.PipelineConfig{}, taker, sink); return err },
		"run":                 func() error { return stage.Run(context.Background(), source) },
		"same stage twice":    func() error { return stage.Run(context.Background(), taker, taker) },
		"for each":            func() error { _, err := consumer.ForEach[int](nil); return err },
		"batch":               func() error { _, err := consumer.NewBatch[int](nil, consumer.BatchConfig[int]{}); return err },
		"supervisor":          func() error { _, err := consumer.NewSupervisor[int](nil, consumer.SupervisorConfig[int]{}); return err },
		"all": func() (err error) {
			for _, err = range consumer.All[int](context.Background(), nil, stage.SubscribeConfig{}) {
			}
			return err
		},
		"all pointer": func() (err error) {
			for _, err = range consumer.All[int](context.Background(), source, stage.SubscribeConfig{}) {
			}
			return err
		},
		"delivery": func() error {
			_, err := delivery.New(endpoint, delivery.Config[int]{Topic: func(int) string { return "" }, Event: "e"})
			return err
		},
		"server":                func() error { _, err := websocket.NewServer(endpoint, websocket.ServerConfig{}); return err },
		"mount":                 func() error { return mount("/a", nil) },
		"mount pointer":         func() error { return mount("/b", (*websocket.Socket[int])(nil)) },
		"mount nowhere":         func() error { return mount("", socket) },
		"mount without a slash": func() error { return mount("c", socket) },
		"channel": func() error {
			s := websocket.NewSocket(websocket.SocketConfig[int]{})
			s.Channel("a", nil)
			return mount("/d", s)
		},
		"channel without a topic": func() error {
			s := websocket.NewSocket(websocket.SocketConfig[int]{})
			s.Channel("", func(int, string) websocket.Handler { return nil })
			return mount("/e", s)
		},
		"seq":       func() error { _, err := producer.NewSeq[int](nil, producer.SeqConfig[int]{}); return err },
		"seq func":  func() error { _, err := producer.NewSeqFunc[int](nil, producer.SeqConfig[int]{}); return err },
		"chan":      func() error { _, err := producer.NewChan[int](nil, producer.ChanConfig[int]{}); return err },
		"partition": func() error { _, err := dispatcher.NewPartition[int](2, nil, dispatcher.PartitionConfig{}); return err },
		"partition batch": func() error {
			_, err := dispatcher.NewPartitionBatch[int](2, nil, dispatcher.PartitionConfig{})
			return err
		},
		"no partitions": func() error { _, err := dispatcher.NewPartition(0, hash, dispatcher.PartitionConfig{}); return err },
		"too many partitions": func() error {
			_, err := dispatcher.NewPartition(math.MaxInt, hash, dispatcher.PartitionConfig{})
			return err
		},
		"negative partitions": func() error { _, err := dispatcher.NewPartition(-1, hash, dispatcher.PartitionConfig{}); return err },
		"no named partitions": func() error {
			_, err := dispatcher.NewNamedPartition(nil, hash, dispatcher.PartitionConfig{})
			return err
		},
		"partition name twice": func() error {
			_, err := dispatcher.NewNamedPartition([]int{1, 1}, hash, dispatcher.PartitionConfig{})
			return err
		},
		"partition name NaN": func() error {
			_, err := dispatcher.NewNamedPartition([]float64{math.NaN()}, func(int) (float64, bool) { return 0, true }, dispatcher.PartitionConfig{})
			return err
		},
		"partition name without ==": func() error {
			_, err := dispatcher.NewNamedPartition([]any{[]int{1}}, func(int) (any, bool) { return 0, true }, dispatcher.PartitionConfig{})
			return err
		},
		"named partition": func() error {
			_, err := dispatcher.NewNamedPartition[int]([]int{1}, nil, dispatcher.PartitionConfig{})
			return err
		},
		"fair":   func() error { _, err := fair.New[int, int](nil, fair.Config[int]{}); return err },
		"source": func() error { _, err := gostreams.NewSource[int](nil, gostreams.SourceConfig[int]{}); return err },
		"sink":   func() error { _, err := gostreams.NewSink[int](nil, gostreams.SinkConfig{}); return err },
		"source pointer": func() error {
			_, err := gostreams.NewSource[int]((*flow)(nil), gostreams.SourceConfig[int]{})
			return err
		},
		"subscriber":      func() error { _, err := real.PubSub().Subscribe("a", nil); return err },
		"subscriber func": func() error { _, err := real.PubSub().Subscribe("a", pubsub.SubscriberFunc(nil)); return err },
		"deliver":         func() error { return real.Deliver(context.Background(), "a", "e", struct{}{}, nil) },
		"hub":             func() error { _, err := presence.New(presence.Config{}); return err },
		"pool's Ask": func() error {
			return stage.Must(taker.Subscribe(stage.Must(stage.NewProducer(stage.Must(producer.NewQueue(producer.QueueConfig[int]{})), stage.ProducerConfig[int]{})), stage.SubscribeConfig{Manual: true})).Ask(-1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p != nil {
					t.Fatalf("panic: %v", p)
				}
			}()
			if err := f(); !isRefusal(err) {
				t.Fatalf("got %T: %v", err, err)
			}
		})
	}
}
