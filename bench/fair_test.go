package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkFair is what an event costs the fair dispatcher: coming into the
// queue of its key, being chosen and handed out, and the receipt, while so many
// keys have an event waiting. Keys come in random order, so that with many of
// them nearly every step misses the caches. Events come and go in batches of
// 64, as between stages.
func BenchmarkFair(b *testing.B) {
	for _, keys := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			benchFair(b, keys, func(k uint64) uint64 { return k }, fair.Config[uint64]{})
		})
	}
	const keys = 100_000
	for _, option := range []struct {
		name string
		cfg  fair.Config[uint64]
	}{
		{"weights", fair.Config[uint64]{Weights: []int{1, 8, 64}, Class: func(k uint64) int { return int(k % 3) }}},
		{"rate", fair.Config[uint64]{Rate: fair.Rate{PerSecond: 1e6, Burst: 64}}},
		{"measured", fair.Config[uint64]{MeasuredCost: true}},
	} {
		b.Run("option="+option.name, func(b *testing.B) {
			benchFair(b, keys, func(k uint64) uint64 { return k }, option.cfg)
		})
	}
	b.Run("option=string", func(b *testing.B) {
		names := make([]string, keys)
		for i := range names {
			names[i] = fmt.Sprintf("user-%08d", i)
		}
		benchFair(b, keys, func(k uint64) string { return names[k] }, fair.Config[uint64]{})
	})
}

const fairBatch = 64

func benchFair[K comparable](b *testing.B, keys int, key func(uint64) K, cfg fair.Config[uint64]) {
	cfg.MaxEvents = 4 * keys
	cfg.MaxBytes = 1 << 40
	f := stage.Must(fair.New(key, cfg))
	if err := f.Subscribe(0, dispatcher.SubscribeConfig{}); err != nil {
		b.Fatal(err)
	}
	order := make([]uint64, keys)
	for i := range order {
		order[i] = uint64(i)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(keys, func(i, j int) { order[i], order[j] = order[j], order[i] })

	out := &fairOut{receipts: make([]dispatcher.Receipt[uint64], 0, fairBatch)}
	events := make([]uint64, fairBatch)
	next, seq, now := 0, uint64(1), int64(0)
	step := func(ask int) {
		for i := range events {
			events[i] = order[next]
			if next++; next == keys {
				next = 0
			}
		}
		if ask > 0 {
			f.Ask(0, ask)
		}
		now += fairBatch * 100
		seq += uint64(f.Dispatch(dispatcher.Offer[uint64]{Events: events, First: seq, Now: now}, out))
		f.Receipts(now, out.receipts)
		out.receipts = out.receipts[:0]
	}
	for range keys/fairBatch + 1 {
		step(0)
	}
	// All credits are spent: this is the state under a lasting flood.
	for range 9 * (keys/fairBatch + 1) {
		step(fairBatch)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += fairBatch {
		step(fairBatch)
	}
	b.StopTimer()
	if held := f.Held(); held < keys {
		b.Fatalf("%d events held for %d keys", held, keys)
	}
}

type fairOut struct{ receipts []dispatcher.Receipt[uint64] }

func (o *fairOut) Give(int, int, int) {}

func (o *fairOut) GiveHeld(sub int, _ uint64, seq, ticket uint64) {
	o.receipts = append(o.receipts, dispatcher.Receipt[uint64]{Sub: sub, Seq: seq, Ticket: ticket, Cost: 1e4})
}

func (o *fairOut) Discard(uint64, uint64, receipt.Reason) {}
