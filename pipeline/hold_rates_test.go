package pipeline_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// rated is a place of a rate in a pipeline.
type rated struct {
	name  string
	keys  int // that have the rate each; 1 without keys
	build func(p pipeline.Config, rate pipeline.Rate, source *torrent, n *atomic.Int64) *pipeline.Pipeline
}

var ratedPlaces = []rated{
	{"pipeline", 1, func(cfg pipeline.Config, rate pipeline.Rate, source *torrent, n *atomic.Int64) *pipeline.Pipeline {
		cfg.Rate = rate
		p := pipeline.New(cfg)
		pipeline.Each(pipeline.From(p, source, sourceConfig{}), counted(n), stepConfig{})
		return p
	}},
	{"source", 1, func(cfg pipeline.Config, rate pipeline.Rate, source *torrent, n *atomic.Int64) *pipeline.Pipeline {
		p := pipeline.New(cfg)
		pipeline.Each(pipeline.From(p, source, sourceConfig{Rate: rate}), counted(n), stepConfig{})
		return p
	}},
	{"step", 1, func(cfg pipeline.Config, rate pipeline.Rate, source *torrent, n *atomic.Int64) *pipeline.Pipeline {
		p := pipeline.New(cfg)
		pipeline.Each(pipeline.From(p, source, sourceConfig{}), counted(n), stepConfig{Workers: 4, Rate: rate})
		return p
	}},
	{"key", 100, func(cfg pipeline.Config, rate pipeline.Rate, source *torrent, n *atomic.Int64) *pipeline.Pipeline {
		p := pipeline.New(cfg)
		pipeline.Each(pipeline.From(p, source, sourceConfig{}), counted(n), stepConfig{
			Workers: 4, KeyRate: rate, Key: func(v int) string { return strconv.Itoa(keyOf(v, 100)) },
		})
		return p
	}},
}

func counted(n *atomic.Int64) func(context.Context, int) error {
	return func(context.Context, int) error {
		n.Add(1)
		return nil
	}
}

// TestHoldRates has rates from 10 to 100,000 a second: after the burst there are 99 to 101 %
// of them in 10 s.
func TestHoldRates(t *testing.T) {
	for _, place := range ratedPlaces {
		for _, perSecond := range []float64{10, 1000, 100_000} {
			for _, burst := range []int{0, 50} {
				if place.keys > 1 && perSecond > 1000 {
					continue // of each of a hundred keys
				}
				t.Run(fmt.Sprintf("%s/%v/burst %d", place.name, perSecond, burst), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { holdRate(t, place, pipeline.Rate{PerSecond: perSecond, Burst: burst}, false) })
				})
			}
		}
	}
}

// TestHoldRatesInRealTime is the same, in 10 s for each rate.
func TestHoldRatesInRealTime(t *testing.T) {
	if os.Getenv("PENSTOCK_LONG") == "" {
		t.Skip("takes two minutes; set PENSTOCK_LONG")
	}
	for _, place := range ratedPlaces {
		for _, perSecond := range []float64{10, 1000, 100_000} {
			if place.keys > 1 && perSecond > 1000 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", place.name, perSecond), func(t *testing.T) {
				holdRate(t, place, pipeline.Rate{PerSecond: perSecond}, true)
			})
		}
	}
}

func holdRate(t *testing.T, place rated, rate pipeline.Rate, real bool) {
	var n atomic.Int64
	p := place.build(pipeline.Config{Logger: quiet}, rate, &torrent{}, &n)
	done := started(t, p)
	if !real {
		synctest.Wait()
		if first, want := n.Load(), int64(max(rate.Burst, 1)*place.keys); first != want {
			t.Errorf("%d events at once, want %d", first, want)
		}
	} else {
		for n.Load() == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	begun, before := time.Now(), n.Load()
	if real {
		// From one event to another: a window that begins and ends between events counts
		// one more or less, which is a hundredth of 10 events a second.
		for want := before + int64(10*rate.PerSecond)*int64(place.keys); n.Load() < want; {
			time.Sleep(100 * time.Microsecond)
		}
	} else {
		time.Sleep(10*time.Second + time.Millisecond) // not at the very moment of an event
	}
	took := time.Since(begun)
	got := float64(n.Load() - before)
	want := rate.PerSecond * float64(place.keys) * took.Seconds()
	t.Logf("%.0f events in %v, %.2f %%", got, took.Round(time.Millisecond), 100*got/want)
	if got < 0.99*want || got > 1.01*want {
		t.Errorf("%.0f events in %v, want %.0f", got, took, want)
	}
	p.Stop(nil)
	<-done
}
