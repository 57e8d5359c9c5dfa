package stage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// Events that wait for something that only the program can do are logged after ten
// seconds, and then once a minute for as long as they wait.
func TestEventsThatWaitInVainAreLogged(t *testing.T) {
	parts := func() dispatcher.Dispatcher[int] {
		return stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{}))
	}
	parking := stage.Must(fair.New(func(v int) int { return v % 2 }, fair.Config[int]{MaxEvents: 3}))
	for name, tc := range map[string]struct {
		cfg   stage.ProducerConfig[int]
		begin func(t *testing.T, p *stage.ProducerStage[int], src *source)
		busy  func(t *testing.T, p *stage.ProducerStage[int], src *source) // each second
		end   func(t *testing.T, p *stage.ProducerStage[int])
		why   string
	}{
		"accumulate": {
			cfg: stage.ProducerConfig[int]{Demand: stage.Accumulate},
			begin: func(t *testing.T, p *stage.ProducerStage[int], _ *source) {
				join(t, p, newSink(), stage.SubscribeConfig{})
			},
			end: func(t *testing.T, p *stage.ProducerStage[int]) { p.SetDemand(stage.Forward) },
			why: "Accumulate",
		},
		"no subscriber": {
			begin: func(t *testing.T, p *stage.ProducerStage[int], src *source) { push(t, p, src, 1, 2) },
			end: func(t *testing.T, p *stage.ProducerStage[int]) {
				join(t, p, newSink(), stage.SubscribeConfig{})
			},
			why: "no subscriber",
		},
		"no subscriber of a broadcast": {
			cfg:   stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()},
			begin: func(t *testing.T, p *stage.ProducerStage[int], src *source) { push(t, p, src, 1, 2) },
			end: func(t *testing.T, p *stage.ProducerStage[int]) {
				join(t, p, newSink(), stage.SubscribeConfig{})
			},
			why: "no subscriber",
		},
		"a partition without a subscriber": {
			cfg: stage.ProducerConfig[int]{Dispatcher: parts()},
			begin: func(t *testing.T, p *stage.ProducerStage[int], src *source) {
				join(t, p, newSink(), stage.SubscribeConfig{Partition: 0})
				push(t, p, src, 1, 2)
				src.self.SendBehind("message")
			},
			busy: func(t *testing.T, p *stage.ProducerStage[int], src *source) { push(t, p, src, 4) },
			end: func(t *testing.T, p *stage.ProducerStage[int]) {
				join(t, p, newSink(), stage.SubscribeConfig{Partition: 1})
			},
			why: "messages_behind=1",
		},
		"a partition that stands still": {
			cfg: stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(2,
				func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{Capacity: 2}))},
			begin: func(t *testing.T, p *stage.ProducerStage[int], src *source) {
				c := pausing(1)
				t.Cleanup(func() { close(c.gate) })
				join(t, p, newSink(), stage.SubscribeConfig{Partition: 0})
				join(t, p, c, stage.SubscribeConfig{Partition: 1, MaxDemand: 1})
				push(t, p, src, 1, 3, 5, 7, 2, 4)
			},
			end: func(t *testing.T, p *stage.ProducerStage[int]) { p.Stop(nil) },
			why: "busy partitions",
		},
		"parked keys": {
			cfg: stage.ProducerConfig[int]{Dispatcher: parking},
			begin: func(t *testing.T, p *stage.ProducerStage[int], src *source) {
				p.Do(func() { parking.Park(1) })
				join(t, p, newSink(), stage.SubscribeConfig{})
				push(t, p, src, 1, 3, 5, 7, 2, 4)
			},
			end: func(t *testing.T, p *stage.ProducerStage[int]) { p.Do(func() { parking.Unpark(1) }) },
			why: "parked keys",
		},
		"manual": {
			begin: func(t *testing.T, p *stage.ProducerStage[int], src *source) {
				join(t, p, newSink(), stage.SubscribeConfig{Manual: true})
				push(t, p, src, 1, 2)
			},
			end: func(t *testing.T, p *stage.ProducerStage[int]) { p.Drain(); p.Stop(nil) },
			why: "Manual",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log lines
				src := &source{}
				tc.cfg.Logger = log.logger()
				p := producer(src, tc.cfg)
				start(t, p)
				tc.begin(t, p, src)
				pass := func(seconds int) {
					for range seconds {
						later(time.Second)
						if tc.busy != nil {
							tc.busy(t, p, src)
						}
					}
				}
				pass(9)
				equal(t, "too early", len(log.with("events wait")), 0)
				pass(2)
				equal(t, "lines", len(log.with("level=WARN", "events wait", tc.why)), 1)
				pass(58)
				equal(t, "in the minute", len(log.with("events wait")), 1)
				pass(3)
				equal(t, "after it", len(log.with("events wait")), 2)
				tc.end(t, p)
				tc.busy = nil
				pass(200)
				equal(t, "after the end", len(log.with("events wait")), 2)
			})
		})
	}
}

// Back-pressure is not of that kind: a consumer that takes an hour, one with Manual
// that asks now and then.
func TestBackPressureIsNotLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{counting: true}
		p := producer(src, stage.ProducerConfig[int]{Logger: log.logger()})
		start(t, p)
		c := pausing(1)
		join(t, p, c, four)
		push(t, p, src, 1, 2, 3, 4, 5)
		later(time.Hour)
		equal(t, "busy", len(log.with("events wait")), 0)
		close(c.gate)
	})
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Logger: log.logger()})
		c := consumer(newSink(), "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{Manual: true})
		start(t, p, c)
		push(t, p, src, upTo(0, 1000)...)
		for range 100 {
			later(8 * time.Second)
			if err := sub.Ask(1); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		equal(t, "manual", len(log.with("events wait")), 0)
	})
}
