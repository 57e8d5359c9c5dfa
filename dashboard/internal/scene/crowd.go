package main

import (
	"fmt"

	"github.com/penstock-go/penstock/stage"
)

// crowd is the snapshot of a pipeline that does not exist: n stages in chains of three,
// each of which has handled so many events.
func crowd(n, handled int) stage.PipelineSnapshot {
	var s stage.PipelineSnapshot
	chain := []struct {
		name string
		kind stage.Kind
	}{{"fetch", stage.KindProducer}, {"parse", stage.KindProducerConsumer}, {"store", stage.KindConsumer}}
	for i := range n {
		at := chain[i%len(chain)]
		count := int64(handled + i%7*handled/10)
		s.Stages = append(s.Stages, stage.Snapshot{
			Name: fmt.Sprintf("%s-%d", at.name, i/len(chain)), Kind: at.kind, Phase: stage.PhaseRunning,
			Emitted: count, Delivered: count, Deliveries: count, Handled: count, Buffered: (handled + i) % 13,
		})
		if i%len(chain) > 0 {
			s.Edges = append(s.Edges, stage.Edge{
				ID: uint64(1_000_000 + i), Producer: s.Stages[i-1].Name, Consumer: s.Stages[i].Name,
				Demand: 500, InFlight: (handled + i) % 40, MaxDemand: 1000, MinDemand: 500,
			})
		}
	}
	return s
}
