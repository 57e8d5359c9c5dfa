package pubsubtest

import (
	"context"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

// SharedHistory is a [pubsub.History] that the nodes of a [Network] share, for tests of
// what follows from that: positions hold on all of them.
type SharedHistory struct{ *pubsub.Memory }

// NewSharedHistory makes a history for all hubs of a network.
func NewSharedHistory(t testing.TB, cfg pubsub.MemoryConfig) SharedHistory {
	t.Helper()
	memory, err := pubsub.NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return SharedHistory{memory}
}

// Append implements pubsub.History: a message of another node is kept already.
func (h SharedHistory) Append(ctx context.Context, m *pubsub.Message) error {
	if at, kept := m.OriginPosition(); kept {
		m.Keep(at)
		return nil
	}
	return h.Memory.Append(ctx, m)
}

// Lost implements pubsub.History: it has what was lost on the way.
func (h SharedHistory) Lost(string) {}
