package stage_test

import (
	"context"
	"slices"
	"strings"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// lineageEnd is a consumer whose receipts the test gives.
type lineageEnd struct {
	stage *stage.ConsumerStage[parts]
	sub   *stage.Subscription[parts]
	open  map[uint64]parts
}

func (e *lineageEnd) HandleEvents(context.Context, []parts) error { return nil }

func (e *lineageEnd) HandleDelivery(_ context.Context, d stage.Delivery[parts]) error {
	for i, event := range d.Events {
		e.open[d.First+uint64(i)] = event
	}
	return nil
}

// again is a source that emits an event anew when it was abandoned, as one that
// reads from a log does.
type again struct {
	r     *lineageRun
	emit  *stage.Emitter[parts]
	ids   []int // by sequence number
	ended map[uint64]receipt.Outcome
	final map[int]receipt.Outcome // by id, the last one
	redo  bool
}

func (s *again) HandleEmitter(emit *stage.Emitter[parts])                       { s.emit = emit }
func (s *again) HandleDemand(context.Context, int, *stage.Emitter[parts]) error { return nil }

func (s *again) give(id int) {
	s.ids = append(s.ids, id)
	s.emit.Emit(parts{{id: id}})
}

func (s *again) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	for _, r := range receipts {
		for seq := range r.Seqs() {
			id := s.ids[seq]
			if before, twice := s.ended[seq]; twice {
				s.r.t.Errorf("event %d: %v after %v", seq, r.Outcome, before)
			}
			s.ended[seq] = r.Outcome
			s.final[id] = r.Outcome
			switch r.Outcome {
			case receipt.Done:
				paths, _ := expected(s.r.plan, part{id: id})
				for _, path := range paths {
					if !s.r.handled[id][path] {
						s.r.t.Errorf("event %d is done, but %q of %d was not handled", seq, path, id)
					}
				}
			case receipt.Failed:
				// What is copied by the chunk fails by the chunk.
				if !s.r.failed[id] && !(strings.Contains(s.r.plan, string(copying)) && len(s.r.failed) > 0) {
					s.r.t.Errorf("event %d has failed, but nothing of %d has", seq, id)
				}
			case receipt.Abandoned:
				if s.redo {
					s.give(id)
				}
			default:
				s.r.t.Errorf("event %d: %v", seq, r.Outcome)
			}
		}
	}
	return nil
}

// transform returns a new handler of a kind.
func (r *lineageRun) transform(kind byte) stage.ProducerConsumer[parts, parts] {
	switch kind {
	case mapping:
		return stage.MapFunc[parts, parts](func(_ context.Context, event parts) (parts, error) {
			out := parts{}
			for _, p := range event {
				if p.path != ghost && p.one(13) {
					r.fails(event)
					return nil, errOops
				}
				out = append(out, p.with("m"))
			}
			return out, nil
		})
	case filtering:
		return stage.FlatMapFunc[parts, parts](func(_ context.Context, event parts, emit func(parts)) error {
			out, left := parts{}, 0
			for _, p := range event {
				if p.path == ghost || p.one(4) {
					out = append(out, part{p.id, ghost})
				} else {
					out = append(out, p.with("f"))
					left++
				}
			}
			if left > 0 {
				emit(out)
			}
			return nil
		})
	case copying:
		return stage.ProducerConsumerFunc[parts, parts](func(_ context.Context, events []parts, emit *stage.Emitter[parts]) error {
			for _, suffix := range []string{"0", "1"} {
				for _, event := range events {
					emit.Emit(event.with(suffix))
				}
			}
			return nil
		})
	case splitting:
		return stage.FlatMapFunc[parts, parts](func(_ context.Context, event parts, emit func(parts)) error {
			emit(event.with("0"))
			emit(event.with("1"))
			return nil
		})
	}
	return &gather{}
}

func (e parts) with(suffix string) parts {
	out := parts{}
	for _, p := range e {
		out = append(out, p.with(suffix))
	}
	return out
}

func (p part) with(suffix string) part {
	if p.path != ghost {
		p.path += suffix
	}
	return p
}

// gather makes one event of two, and of the last one alone.
type gather struct {
	emit  *stage.Emitter[parts]
	first parts
	held  []stage.Held
}

func (g *gather) HandleEmitter(emit *stage.Emitter[parts]) { g.emit = emit }

func (g *gather) HandleEvents(_ context.Context, events []parts, emit *stage.Emitter[parts]) error {
	for i, event := range events {
		g.held = append(g.held, emit.Hold(i))
		if len(g.held) == 1 {
			g.first = event
			continue
		}
		g.hand(slices.Concat(g.first, event))
	}
	return nil
}

func (g *gather) hand(event parts) {
	g.emit.For(g.held...)
	g.emit.Emit(event)
	g.held = g.held[:0]
}

func (g *gather) HandleFlush(context.Context) error {
	if len(g.held) > 0 {
		g.hand(g.first)
	}
	return nil
}
