package bench

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW2Receipts is W2 from a source that wants a receipt for each event.
// The reference is W2 itself, whose source wants none.
func BenchmarkW2Receipts(b *testing.B) {
	compare(b,
		func(n int) time.Duration { return runW2Receipts(b, n, widest) },
		func(n int) time.Duration { return runW2(b, n, widest) })
}

// acknowledged is a counter that adds up the receipts it gets.
type acknowledged struct {
	counter
	receipts int
}

// HandleReceipts implements stage.ReceiptsHandler.
func (a *acknowledged) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		a.receipts += r.Count
	}
	return nil
}

func runW2Receipts(tb testing.TB, n int, d demand) time.Duration {
	tb.Helper()
	source := &acknowledged{counter: counter{limit: n}}
	took := between(tb, source, w2Between, n, d)
	if source.receipts != n {
		tb.Fatalf("%d receipts for %d events", source.receipts, n)
	}
	return took
}
