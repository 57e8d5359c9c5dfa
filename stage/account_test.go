package stage_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// total is the number of discarded events of a snapshot.
func total(s stage.Snapshot) (n int64) {
	for _, k := range s.Discarded {
		n += k
	}
	return n
}

// breaking is a dispatcher that does some of its work and then panics, or ends the
// goroutine.
type breaking struct {
	dispatcher.Dispatcher[int]
	give, discard int
	goexit        bool
}

func (b *breaking) Dispatch(offer dispatcher.Offer[int], out dispatcher.Out[int]) int {
	if len(offer.Events) == 0 {
		return 0
	}
	n := len(offer.Events)
	out.Give(0, 0, min(n, b.give))
	for i := b.give; i < min(n, b.give+b.discard); i++ {
		out.Discard(offer.Events[i], offer.First+uint64(i), receipt.Unselected)
	}
	if b.goexit {
		runtime.Goexit()
	}
	panic("broken")
}

// A dispatcher that does not return leaves each event counted once.
func TestAccountOfABrokenDispatch(t *testing.T) {
	for give := range 5 {
		for discard := range 5 - give {
			for _, goexit := range []bool{false, true} {
				for _, buffered := range []int{0, 3} {
					bubble(t, func(t *testing.T) {
						src, dst := &source{}, newSink()
						lost := map[int]int{}
						p := producer(src, stage.ProducerConfig[int]{
							Dispatcher: &breaking{dispatcher.NewDemand[int](), give, discard, goexit}, Demand: stage.Accumulate,
							Discarded: func(event int, _ receipt.Reason) { lost[event]++ },
						})
						c := consumer(dst, "C")
						subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 10})
						start(t, p, c)
						push(t, p, src, upTo(0, buffered)...)
						p.Do(func() { src.emit.EmitAll(upTo(buffered, 4)) })
						if buffered == 0 {
							p.SetDemand(stage.Forward)
						}
						p.SetDemand(stage.Forward)
						synctest.Wait()
						if !stopped(p) {
							t.Fatal("the stage runs on")
						}
						s := snap(t, p)
						what := fmt.Sprint(give, discard, goexit, buffered)
						equal(t, what+": emitted", s.Emitted, 4)
						equal(t, what+": delivered", s.Delivered, len(dst.events()))
						equal(t, what+": discarded", total(s), 4-len(dst.events()))
						for _, event := range dst.events() {
							lost[event]++
						}
						equal(t, what+": each event once", lost, map[int]int{0: 1, 1: 1, 2: 1, 3: 1})
					})
				}
			}
		}
	}
}

// The same with a hash function that panics, before and after something was held.
func TestAccountOfAHashThatPanics(t *testing.T) {
	for bad := range 8 {
		bubble(t, func(t *testing.T) {
			src, dst := &source{}, newSink()
			lost := map[int]int{}
			hash := func(v int) (int, bool) {
				if v == bad {
					panic("no hash")
				}
				return v % 2, true
			}
			p := producer(src, stage.ProducerConfig[int]{
				Dispatcher: stage.Must(dispatcher.NewPartition(2, hash, dispatcher.PartitionConfig{})),
				Discarded:  func(event int, _ receipt.Reason) { lost[event]++ },
			})
			c := consumer(dst, "C")
			subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 2, Partition: 0})
			start(t, p, c)
			p.Do(func() { src.emit.EmitAll(upTo(0, 4)) })
			synctest.Wait()
			p.Do(func() { src.emit.EmitAll(upTo(4, 8)) })
			synctest.Wait()
			var failed *stage.PanicError
			if !stopped(p) || !errors.As(p.Err(), &failed) {
				t.Fatal(p.Err())
			}
			s := snap(t, p)
			want := int64(4)
			if bad >= 4 {
				want = 8
			}
			equal(t, "emitted", s.Emitted, want)
			equal(t, "buffered", s.Buffered, 0)
			equal(t, "delivered", s.Delivered, len(dst.events()))
			equal(t, "reported", len(lost), want-s.Delivered)
			for event, n := range lost {
				if n != 1 {
					t.Errorf("event %d was reported %d times", event, n)
				}
			}
		})
	}
}

// A Discarded that panics or ends its goroutine, at any event, leaves each event
// counted once, and is called for the others.
func TestAccountOfADiscardedThatBreaks(t *testing.T) {
	for _, keep := range []stage.Keep{stage.KeepFirst, stage.KeepLast} {
		for _, size := range []int{stage.None, 2, 5} {
			for bad := range 12 {
				for _, goexit := range []bool{false, true} {
					bubble(t, func(t *testing.T) {
						src := &source{}
						reported := map[int]int{}
						p := producer(src, stage.ProducerConfig[int]{BufferSize: size, Keep: keep, Discarded: func(event int, _ receipt.Reason) {
							reported[event]++
							if event != bad {
								return
							}
							if goexit {
								runtime.Goexit()
							}
							panic("no")
						}})
						start(t, p)
						p.Do(func() { src.emit.EmitAll(upTo(0, 4)) })
						synctest.Wait()
						p.Do(func() { src.emit.EmitAll(upTo(4, 12)) })
						synctest.Wait()
						p.Stop(nil)
						synctest.Wait()
						s := snap(t, p)
						what := fmt.Sprint(keep, size, bad, goexit)
						if s.Emitted != 12 && s.Emitted != 4 {
							t.Fatalf("%s: %+v", what, s)
						}
						equal(t, what+": discarded", total(s), s.Emitted)
						equal(t, what+": reported", len(reported), s.Emitted)
						for event, n := range reported {
							if n != 1 {
								t.Errorf("%s: event %d was reported %d times", what, event, n)
							}
						}
						if p.Err() == nil {
							t.Errorf("%s: no failure", what)
						}
					})
				}
			}
		}
	}
}

// What Discarded emits is an emission like any other, and at the end of the stage
// it is discarded.
func TestEmissionsOfDiscarded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		var lost []int
		p := producer(src, stage.ProducerConfig[int]{BufferSize: 1, Keep: stage.KeepFirst, Discarded: func(event int, _ receipt.Reason) {
			lost = append(lost, event)
			if event < 100 {
				src.emit.Emit(event + 100)
			}
		}})
		c := consumer(dst, "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{Manual: true})
		start(t, p, c)
		push(t, p, src, 1, 2, 3)
		equal(t, "lost", lost, []int{2, 3, 102, 103})
		equal(t, "emitted", snap(t, p).Emitted, 5)
		if err := sub.Ask(2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		push(t, p, src, 4, 5, 6)
		equal(t, "events", dst.events(), []int{1, 4})
		lost = nil
		p.Stop(nil)
		synctest.Wait()
		equal(t, "lost at the end", lost, []int{5, 105})
		s := snap(t, p)
		equal(t, "account", []int64{s.Emitted, s.Delivered, total(s)}, []int64{10, 2, 8})
	})
}

// terminating emits in HandleTerminate.
type terminating struct{ pipe }

func (p *terminating) HandleTerminate(context.Context, error) error {
	p.emit.EmitAll([]int{7, 8})
	return nil
}

type terminatingSource struct{ source }

func (p *terminatingSource) HandleTerminate(context.Context, error) error {
	p.emit.EmitAll([]int{7, 8})
	return nil
}

func TestEmissionsOfHandleTerminate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lost []int
		cfg := stage.ProducerConfig[int]{Discarded: func(event int, _ receipt.Reason) { lost = append(lost, event) }}
		p := producer(&terminatingSource{}, cfg)
		start(t, p)
		p.Stop(nil)
		<-p.Stopped()
		equal(t, "lost", lost, []int{7, 8})
		equal(t, "emitted", snap(t, p).Emitted, 2)
		lost = nil
		m := between(&terminating{}, cfg)
		start(t, m)
		m.Stop(nil)
		<-m.Stopped()
		equal(t, "lost", lost, []int{7, 8})
		equal(t, "emitted", snap(t, m).Emitted, 2)
	})
}

// What a producer that is gone had given to a stage, and that one has not handled
// when it stops, is counted by the stage.
func TestUnhandledOfADeadProducer(t *testing.T) {
	for _, queued := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			src, pc := &source{}, newPipe(1)
			p, m, c := producer(src, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
			subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 10, Cancel: stage.Temporary})
			demand := subscribe(t, c, m, stage.SubscribeConfig{Manual: true})
			if !queued { // it fails over the first of them
				pc.onEvents = func(context.Context, []int) error { return errOops }
			}
			start(t, p, m, c)
			push(t, p, src, 1, 2, 3)
			p.Stop(nil)
			synctest.Wait()
			equal(t, "abandoned by the producer", snap(t, p).Abandoned, 0)
			if !queued {
				if err := demand.Ask(1); err != nil {
					t.Fatal(err)
				}
			}
			m.Stop(nil)
			synctest.Wait()
			equal(t, "unhandled", snap(t, m).Unhandled, 3)
		})
	}
}

// A producer that is there counts them itself.
func TestUnhandledOfALiveProducer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, pc := &source{}, newPipe(1)
		p, m := producer(src, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{})
		subscribePC(t, m, p, four)
		start(t, p, m)
		push(t, p, src, 1, 2, 3)
		m.Stop(nil)
		synctest.Wait()
		equal(t, "unhandled", snap(t, m).Unhandled, 0)
		equal(t, "abandoned", snap(t, p).Abandoned, 3)
	})
}

// A message behind the events waits for those that were there, in whatever order
// the dispatcher serves them, and not for later ones.
func TestSendBehindHeldEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, even, odd := &source{}, newSink(), newSink()
		hash := func(v int) (int, bool) { return v % 2, true }
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(2, hash, dispatcher.PartitionConfig{}))})
		a, b := consumer(even, "even"), consumer(odd, "odd")
		subscribe(t, a, p, stage.SubscribeConfig{MaxDemand: 100, Partition: 0})
		start(t, p, a)
		src.self.SendBehind("first")
		synctest.Wait()
		equal(t, "infos", src.infos, []any{"first"})
		push(t, p, src, 1, 2) // 1 is held
		src.self.SendBehind("second")
		push(t, p, src, 3, 4) // 3 is held, after the message
		equal(t, "infos", src.infos, []any{"first"})
		slow := subscribe(t, b, p, stage.SubscribeConfig{Manual: true, Partition: 1})
		start(t, b)
		if err := slow.Ask(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "odd", odd.events(), []int{1})
		equal(t, "infos", src.infos, []any{"first", "second"})
		equal(t, "held", snap(t, p).Buffered, 1)
	})
}

// An event that comes back is waited for again.
func TestSendBehindAnEventThatComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, first, second := &source{}, pausing(1), newSink()
		hash := func(v int) (int, bool) { return 0, true }
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(1, hash, dispatcher.PartitionConfig{}))})
		a, b := consumer(first, "A"), consumer(second, "B")
		subscribe(t, a, p, stage.SubscribeConfig{MaxDemand: 1, Partition: 0, Redeliver: true})
		start(t, p, a)
		push(t, p, src, 1, 2) // 1 is with A, 2 is buffered
		src.self.SendBehind("now")
		synctest.Wait()
		a.Stop(nil)
		synctest.Wait()
		equal(t, "infos", len(src.infos), 0)
		sub := subscribe(t, b, p, stage.SubscribeConfig{Manual: true, Partition: 0})
		start(t, b)
		for i := range 2 {
			if err := sub.Ask(1); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			equal(t, "events", second.events(), upTo(1, i+2))
			equal(t, "infos", len(src.infos), i)
		}
	})
}
