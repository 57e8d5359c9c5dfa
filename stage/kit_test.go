package stage_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// The tests run in bubbles: synctest.Wait returns when every stage has nothing
// left to do, so that what has not happened by then will not happen.

// source is a producer under a test's control. Its fields are read after
// synctest.Wait.
type source struct {
	counting  bool // emits the next integers on demand
	limit     int  // with counting: ErrDone after this many, if not 0
	next      int
	emit      *stage.Emitter[int]
	self      *stage.Handle
	demands   []int
	infos     []any
	subs      []stage.SubscriptionInfo
	cancels   []string
	receipts  []stage.Receipt
	drained   int
	ended     []error
	onDemand  func(n int) error
	onCancel  func(reason error) error
	onInfo    func(msg any) error
	onSub     func(stage.SubscriptionInfo) error
	onWake    func() error
	onEnd     func() error
	onStart   func(context.Context) error
	discarded []string
}

func (s *source) HandleEmitter(emit *stage.Emitter[int]) { s.emit = emit }

func (s *source) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.self = self
	if s.onStart != nil {
		return s.onStart(ctx)
	}
	return nil
}

func (s *source) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	s.demands = append(s.demands, n)
	if s.onDemand != nil {
		return s.onDemand(n)
	}
	if !s.counting {
		return nil
	}
	for range n {
		if s.limit > 0 && s.next == s.limit {
			return stage.ErrDone
		}
		emit.Emit(s.next)
		s.next++
	}
	if s.limit > 0 && s.next == s.limit {
		return stage.ErrDone
	}
	return nil
}

func (s *source) HandleWake(context.Context, *stage.Emitter[int]) error {
	if s.onWake != nil {
		return s.onWake()
	}
	return nil
}

func (s *source) HandleInfo(_ context.Context, msg any) error {
	s.infos = append(s.infos, msg)
	if s.onInfo != nil {
		return s.onInfo(msg)
	}
	return nil
}

func (s *source) HandleSubscribe(_ context.Context, i stage.SubscriptionInfo) error {
	s.subs = append(s.subs, i)
	if s.onSub != nil {
		return s.onSub(i)
	}
	return nil
}

func (s *source) HandleCancel(_ context.Context, i stage.SubscriptionInfo, reason error) error {
	s.cancels = append(s.cancels, reason.Error())
	if s.onCancel != nil {
		return s.onCancel(reason)
	}
	return nil
}

func (s *source) HandleTerminate(_ context.Context, reason error) error {
	s.ended = append(s.ended, reason)
	if s.onEnd != nil {
		return s.onEnd()
	}
	return nil
}

func (s *source) discard(event int, reason receipt.Reason) {
	s.discarded = append(s.discarded, fmt.Sprint(event, " ", reason))
}

// acking is a source that wants receipts.
type acking struct{ source }

func (s *acking) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.receipts = append(s.receipts, receipts...)
	return nil
}

// draining is a source that says itself when it has run dry.
type draining struct{ source }

func (s *draining) HandleDrain(context.Context) error {
	s.drained++
	return nil
}

// sink is a consumer under a test's control.
type sink struct {
	batches  [][]int
	self     *stage.Handle
	infos    []any
	subs     []stage.SubscriptionInfo
	cancels  []string
	ended    []error
	pause    int           // blocks before its nth call, from 1
	gate     chan struct{} // until this is closed or the stage is stopped
	onEvents func(ctx context.Context, events []int) error
	onCancel func(reason error) error
	onInfo   func(msg any) error
	onSub    func(stage.SubscriptionInfo) error
	onEnd    func() error
}

func newSink() *sink { return &sink{gate: make(chan struct{})} }

// pausing blocks with its nth call until the gate is closed.
func pausing(n int) *sink {
	s := newSink()
	s.pause = n
	return s
}

func (s *sink) HandleEvents(ctx context.Context, events []int) error {
	if s.pause > 0 && len(s.batches)+1 >= s.pause {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.batches = append(s.batches, slices.Clone(events))
	if s.onEvents != nil {
		return s.onEvents(ctx, events)
	}
	return nil
}

func (s *sink) HandleInfo(_ context.Context, msg any) error {
	s.infos = append(s.infos, msg)
	if s.onInfo != nil {
		return s.onInfo(msg)
	}
	return nil
}

func (s *sink) HandleStart(_ context.Context, self *stage.Handle) error {
	s.self = self
	return nil
}

func (s *sink) HandleSubscribe(_ context.Context, i stage.SubscriptionInfo) error {
	s.subs = append(s.subs, i)
	if s.onSub != nil {
		return s.onSub(i)
	}
	return nil
}

func (s *sink) HandleCancel(_ context.Context, i stage.SubscriptionInfo, reason error) error {
	s.cancels = append(s.cancels, reason.Error())
	if s.onCancel != nil {
		return s.onCancel(reason)
	}
	return nil
}

func (s *sink) HandleTerminate(_ context.Context, reason error) error {
	s.ended = append(s.ended, reason)
	if s.onEnd != nil {
		return s.onEnd()
	}
	return nil
}

// events are all that arrived, in order.
func (s *sink) events() []int { return slices.Concat(s.batches...) }

// sizes are the lengths of the first n batches.
func (s *sink) sizes(n int) []int {
	var sizes []int
	for _, b := range s.batches[:min(n, len(s.batches))] {
		sizes = append(sizes, len(b))
	}
	return sizes
}

// pipe is a producer-consumer that emits each event as often as times says.
type pipe struct {
	sink
	times    int
	emit     *stage.Emitter[int]
	after    func(events []int, emit *stage.Emitter[int]) error
	onCancel func(i stage.SubscriptionInfo, reason error) error
}

func newPipe(times int) *pipe { return &pipe{times: times, sink: sink{gate: make(chan struct{})}} }

func (p *pipe) HandleEmitter(emit *stage.Emitter[int]) { p.emit = emit }

func (p *pipe) HandleEvents(ctx context.Context, events []int, emit *stage.Emitter[int]) error {
	if err := p.sink.HandleEvents(ctx, events); err != nil {
		return err
	}
	for _, v := range events {
		for range p.times {
			emit.Emit(v)
		}
	}
	if p.after != nil {
		return p.after(events, emit)
	}
	return nil
}

func (p *pipe) HandleCancel(_ context.Context, i stage.SubscriptionInfo, reason error) error {
	p.cancels = append(p.cancels, fmt.Sprint(i.Upstream, " ", reason))
	if p.onCancel != nil {
		return p.onCancel(i, reason)
	}
	return nil
}

// bubble runs a test in a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// start starts stages and waits until nothing happens any more. They are
// stopped at the end of the test.
func start(t *testing.T, stages ...stage.Stage) {
	t.Helper()
	for _, s := range stages {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// push has a source emit events outside of demand.
func push(t *testing.T, p *stage.ProducerStage[int], s *source, events ...int) {
	t.Helper()
	if !p.Do(func() { s.emit.EmitAll(events) }) {
		t.Fatal("the producer has stopped")
	}
	synctest.Wait()
}

func subscribe(t *testing.T, c *stage.ConsumerStage[int], to stage.Output[int], cfg stage.SubscribeConfig) *stage.Subscription[int] {
	t.Helper()
	s, err := c.Subscribe(to, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func subscribePC(t *testing.T, c *stage.ProducerConsumerStage[int, int], to stage.Output[int], cfg stage.SubscribeConfig) *stage.Subscription[int] {
	t.Helper()
	s, err := c.Subscribe(to, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refusal is the error of a constructor.
func refusal[T any](_ T, err error) error { return err }

func producer(h stage.Producer[int], cfg stage.ProducerConfig[int]) *stage.ProducerStage[int] {
	if cfg.Name == "" {
		cfg.Name = "P"
	}
	return stage.Must(stage.NewProducer(h, cfg))
}

func consumer(h stage.Consumer[int], name string) *stage.ConsumerStage[int] {
	return stage.Must(stage.NewConsumer(h, stage.ConsumerConfig{Name: name}))
}

func between(h stage.ProducerConsumer[int, int], cfg stage.ProducerConfig[int]) *stage.ProducerConsumerStage[int, int] {
	if cfg.Name == "" {
		cfg.Name = "PC"
	}
	return stage.Must(stage.NewProducerConsumer(h, cfg))
}

// snap returns a stage's snapshot and checks that no event is unaccounted for.
func snap(t *testing.T, s stage.Stage) stage.Snapshot {
	t.Helper()
	got, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var discarded int64
	for _, n := range got.Discarded {
		discarded += n
	}
	if got.Emitted != got.Delivered+int64(got.Buffered)+discarded {
		t.Fatalf("%s: emitted %d, delivered %d + buffered %d + discarded %d", got.Name, got.Emitted, got.Delivered, got.Buffered, discarded)
	}
	return got
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func stopped(s stage.Stage) bool {
	select {
	case <-s.Stopped():
		return true
	default:
		return false
	}
}

// lives fails unless the stages run.
func lives(t *testing.T, stages ...stage.Stage) {
	t.Helper()
	for _, s := range stages {
		if stopped(s) {
			t.Fatalf("%s has stopped: %v", s.Name(), s.Err())
		}
	}
}

// died fails unless a stage has stopped with an error that is want, nil for a
// normal end.
func died(t *testing.T, s stage.Stage, want error) {
	t.Helper()
	if !stopped(s) {
		t.Fatalf("%s has not stopped", s.Name())
	}
	if !errors.Is(s.Err(), want) {
		t.Fatalf("%s stopped with %v, want %v", s.Name(), s.Err(), want)
	}
}

// upTo returns lo to hi-1.
func upTo(lo, hi int) []int {
	var all []int
	for i := lo; i < hi; i++ {
		all = append(all, i)
	}
	return all
}

func doubled(lo, hi int) []int {
	var all []int
	for i := lo; i < hi; i++ {
		all = append(all, i, i)
	}
	return all
}

// kase is a case of the conformance list, named by its number there.
type kase struct {
	name string
	run  func(t *testing.T)
}

var errOops = errors.New("oops")
