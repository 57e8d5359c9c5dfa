package consumer_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func TestMain(m *testing.M) {
	stage.PoisonBatches(true)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

var errOops = errors.New("oops")

// counter emits the numbers from 0 to limit-1 on demand, notes what it was asked
// and what became of each event, and ends after the last.
type counter struct {
	limit int // without end if 0

	mu       sync.Mutex
	next     int
	demands  []int
	receipts []stage.Receipt
	refuse   error
}

func (c *counter) HandleSubscribe(context.Context, stage.SubscriptionInfo) error { return c.refuse }

func (c *counter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.demands = append(c.demands, n)
	for range n {
		if c.limit > 0 && c.next == c.limit {
			return stage.ErrDone
		}
		emit.Emit(c.next)
		c.next++
	}
	if c.limit > 0 && c.next == c.limit {
		return stage.ErrDone
	}
	return nil
}

// tracked is a counter that wants receipts.
type tracked struct{ counter }

func (c *tracked) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receipts = append(c.receipts, receipts...)
	return nil
}

func (c *counter) asked() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.demands)
}

// outcomes returns the outcomes of the events, by number; an event without a
// receipt is missing.
func (c *counter) outcomes(t *testing.T) map[int]receipt.Outcome {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[int]receipt.Outcome)
	for _, r := range c.receipts {
		for seq := range r.Seqs() {
			if before, twice := m[int(seq)]; twice {
				t.Errorf("event %d: %v after %v", seq, r.Outcome, before)
			}
			m[int(seq)] = r.Outcome
		}
	}
	return m
}

// rig is a source and a consumer that are started and ended by hand.
type rig struct {
	src  *stage.ProducerStage[int]
	sink *stage.ConsumerStage[int]
	sub  *stage.Subscription[int]
}

func start(t *testing.T, p stage.Producer[int], c stage.Consumer[int], cfg stage.SubscribeConfig) *rig {
	t.Helper()
	return startWith(t, p, stage.ProducerConfig[int]{Name: "source"}, c, cfg)
}

func startWith(t *testing.T, p stage.Producer[int], pc stage.ProducerConfig[int], c stage.Consumer[int], cfg stage.SubscribeConfig) *rig {
	t.Helper()
	r := &rig{src: stage.Must(stage.NewProducer(p, pc)), sink: stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{Name: "sink"}))}
	var err error
	if r.sub, err = r.sink.Subscribe(r.src, cfg); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.src.Start(t.Context()), r.sink.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	return r
}

// stop ends both stages without draining and waits for them.
func (r *rig) stop() {
	r.sink.Stop(nil)
	<-r.sink.Stopped()
	r.src.Stop(nil)
	<-r.src.Stopped()
}

// run drives a pipeline to its normal end.
func run(t *testing.T, p stage.Producer[int], c stage.Consumer[int], cfg stage.SubscribeConfig) error {
	t.Helper()
	src := stage.Must(stage.NewProducer(p, stage.ProducerConfig[int]{Name: "source"}))
	sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{Name: "sink"}))
	if _, err := sink.Subscribe(src, cfg); err != nil {
		t.Fatal(err)
	}
	return stage.Run(t.Context(), src, sink)
}

func ints(from, to int) []int {
	var s []int
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}

// log is a list that many goroutines add to.
type log struct {
	mu   sync.Mutex
	list []int
}

func (l *log) add(vs ...int) {
	l.mu.Lock()
	l.list = append(l.list, vs...)
	l.mu.Unlock()
}

func (l *log) all() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func (l *log) sorted() []int {
	list := l.all()
	slices.Sort(list)
	return list
}

// config is the config of most supervisors here.
type config = consumer.SupervisorConfig[int]

// textLog returns a logger that writes lines without their time.
func textLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}
