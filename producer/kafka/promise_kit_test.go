package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// The kit of the tests that end a member at each of its steps: records whose fate
// follows from their offset, stages that transform them, a ledger of what became of
// each, and a killer that counts the steps.

// parts is an event after the first transform: names of parts of records, as
// "partition/offset#part".
type parts []string

// fate is what becomes of a record, always the same for the same offset.
type fate struct {
	fails   bool // the first transform refuses it
	dropped bool // the first transform emits nothing for it
	parts   int
}

func fateOf(record string) fate {
	o := offsetOf(record)
	switch {
	case o%7 == 4:
		return fate{fails: true}
	case o%5 == 3:
		return fate{dropped: true}
	}
	return fate{parts: 1 + int(o%2)}
}

func offsetOf(record string) (offset int64) {
	var p int32
	if _, err := fmt.Sscanf(record, "%d/%d", &p, &offset); err != nil {
		panic(err)
	}
	return offset
}

func partsOf(record string) (p parts) {
	for i := range fateOf(record).parts {
		p = append(p, fmt.Sprintf("%s#%d", record, i))
	}
	return p
}

func recordOf(part string) string {
	record, _, _ := strings.Cut(part, "#")
	return record
}

// expired reports whether the end discards a part on purpose.
func expired(part string) bool { return offsetOf(recordOf(part))%6 == 2 }

// ledger knows which parts were handled in which branch of the pipeline, by any
// member. A record is finished when all its parts are, in all branches.
type ledger struct {
	w        *world
	branches int
	mu       sync.Mutex
	handled  map[string]bool
}

// finish notes that nothing more is to come of a record. What a member does after
// its crash does not count.
func (l *ledger) finish(m *member, record string) {
	if !m.crashed() {
		l.w.done("", record)
	}
}

// handle notes that a branch has handled parts.
func (l *ledger) handle(m *member, branch int, p parts) {
	if m.crashed() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, part := range p {
		l.handled[fmt.Sprint(branch, " ", part)] = true
	}
	for _, part := range p {
		if l.complete(recordOf(part)) {
			l.w.done("", recordOf(part))
		}
	}
}

func (l *ledger) complete(record string) bool {
	for branch := range l.branches {
		for _, part := range partsOf(record) {
			if !l.handled[fmt.Sprint(branch, " ", part)] {
				return false
			}
		}
	}
	return true
}

// ending is how a member ends.
type ending string

const (
	// crashes: the process is gone; nothing it does reaches the broker any more.
	crashes ending = "crash"
	// stops: the pipeline is stopped without a drain, and the handler goes on.
	stops ending = "stop"
	// gives: as stops, and the handler returns because its context was cancelled.
	gives ending = "interrupt"
	// panics: the handler panics.
	panics ending = "panic"
)

var errKilled = errors.New("killed")

// killer ends its member at one of the member's steps: before and after an event is
// handled, before and after a receipt, before a commit.
type killer struct {
	m    *member
	how  ending
	at   int // the step, from 1 on; 0 never
	mu   sync.Mutex
	step int
}

// due counts a step and reports whether it is the one.
func (k *killer) due() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.step++
	return k.step == k.at
}

func (k *killer) fired() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at > 0 && k.step >= k.at
}

// handler is a step in a handler.
func (k *killer) handler(ctx context.Context) error {
	if !k.due() {
		return nil
	}
	switch k.how {
	case crashes:
		k.m.crash()
		return errKilled
	case stops:
		k.m.pipeline.Stop(nil)
		return nil
	case gives:
		k.m.pipeline.Stop(nil)
		<-ctx.Done()
		return ctx.Err()
	}
	panic(fmt.Sprintf("killed at step %d", k.at))
}

// outside is a step on a goroutine of the broker's.
func (k *killer) outside() {
	if !k.due() {
		return
	}
	if k.how == crashes || k.how == panics {
		k.m.crash()
	} else {
		k.m.pipeline.Stop(nil)
	}
}

// source is the Kafka producer with a step before and after its receipts.
type source struct {
	*Producer[string]
	k *killer
}

func (s source) HandleReceipts(ctx context.Context, receipts []stage.Receipt) error {
	if err := s.k.handler(ctx); err != nil {
		return err
	}
	if err := s.Producer.HandleReceipts(ctx, receipts); err != nil {
		return err
	}
	return s.k.handler(ctx)
}

// parser is the first transform, event by event.
type parser struct {
	l *ledger
	k *killer
}

var errFate = errors.New("refused")

// parse returns what a record becomes.
func (p *parser) parse(ctx context.Context, record string) (parts, error) {
	if err := p.k.handler(ctx); err != nil {
		return nil, err
	}
	f := fateOf(record)
	if f.fails || f.dropped {
		p.l.finish(p.k.m, record)
	}
	if f.fails {
		return nil, errFate
	}
	return partsOf(record), nil
}

// flat is the parser by a function for each event, which emits each part as an event
// of its own.
func (p *parser) flat() stage.FlatMapFunc[string, parts] {
	return func(ctx context.Context, record string, emit func(parts)) error {
		list, err := p.guarded(ctx, record)
		if err != nil {
			return err
		}
		for _, part := range list {
			emit(parts{part})
		}
		return nil
	}
}

// mapped is the parser by a function for each event, which emits all parts as one
// event and discards a record that has none.
func (p *parser) mapped() stage.MapFunc[string, parts] {
	return func(ctx context.Context, record string) (parts, error) {
		list, err := p.guarded(ctx, record)
		if err == nil && len(list) == 0 {
			err = stage.Discard(receipt.Expired)
		}
		return list, err
	}
}

// guarded parses for a function over which an event fails alone, also by a panic.
func (p *parser) guarded(ctx context.Context, record string) (parts, error) {
	clean := false
	defer func() {
		if !clean {
			p.l.finish(p.k.m, record)
		}
	}()
	list, err := p.parse(ctx, record)
	clean = true
	return list, err
}

// HandleEvents is the parser as a handler that names its inputs. A panic ends its
// stage.
func (p *parser) HandleEvents(ctx context.Context, events []string, emit *stage.Emitter[parts]) error {
	for i, record := range events {
		emit.From(i)
		list, err := p.parse(ctx, record)
		switch {
		case errors.Is(err, errFate):
			emit.Fail(i, err)
		case err != nil:
			return err
		}
		for _, part := range list {
			emit.Emit(parts{part})
		}
	}
	return nil
}

// window gathers two events and emits one for both; one that has waited for 20 ms is
// emitted alone.
type window struct {
	k     *killer
	emit  *stage.Emitter[parts]
	self  *stage.Handle
	held  []stage.Held
	have  parts
	timer *time.Timer
}

func (g *window) HandleEmitter(emit *stage.Emitter[parts]) { g.emit = emit }

func (g *window) HandleStart(_ context.Context, self *stage.Handle) error {
	g.self = self
	return nil
}

func (g *window) HandleEvents(ctx context.Context, events []parts, emit *stage.Emitter[parts]) error {
	for i, e := range events {
		if err := g.k.handler(ctx); err != nil {
			return err
		}
		g.held = append(g.held, emit.Hold(i))
		g.have = append(g.have, e...)
		if len(g.held) == 2 {
			g.pass()
		} else {
			g.timer = time.AfterFunc(20*time.Millisecond, func() { g.self.Send(nil) })
		}
	}
	return nil
}

func (g *window) pass() {
	if len(g.held) > 0 {
		g.emit.For(g.held...)
		g.emit.Emit(g.have)
		g.held, g.have = nil, nil
	}
	if g.timer != nil {
		g.timer.Stop()
	}
}

func (g *window) HandleInfo(ctx context.Context, _ any) error {
	if err := g.k.handler(ctx); err != nil {
		return err
	}
	g.pass()
	return nil
}

func (g *window) HandleFlush(ctx context.Context) error { return g.HandleInfo(ctx, nil) }

func (g *window) HandleTerminate(context.Context, error) error {
	if g.timer != nil {
		g.timer.Stop()
	}
	return nil
}

// joined emits one event for each chunk, which belongs to the whole chunk.
func joined(k *killer) stage.ProducerConsumerFunc[parts, parts] {
	return func(ctx context.Context, events []parts, emit *stage.Emitter[parts]) error {
		var all parts
		for _, e := range events {
			if err := k.handler(ctx); err != nil {
				return err
			}
			all = append(all, e...)
		}
		emit.Emit(all)
		return nil
	}
}

// sink is an end of the pipeline.
type sink struct {
	l      *ledger
	k      *killer
	branch int
	pause  time.Duration
}

// handle handles one event, with a step before and after.
func (s *sink) handle(ctx context.Context, p parts) error {
	if err := s.k.handler(ctx); err != nil {
		return err
	}
	if s.pause > 0 {
		<-time.After(s.pause * time.Duration(1+offsetOf(recordOf(p[0]))%3))
	}
	s.l.handle(s.k.m, s.branch, p)
	if err := s.k.handler(ctx); err != nil {
		return err
	}
	for _, part := range p {
		if expired(part) {
			return stage.Discard(receipt.Expired)
		}
	}
	return nil
}

func (s *sink) handleAll(ctx context.Context, events []parts) error {
	for _, e := range events {
		if err := s.handle(ctx, e); err != nil {
			if _, ok := errors.AsType[*stage.DiscardError](err); !ok {
				return err
			}
		}
	}
	return nil
}
