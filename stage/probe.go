package stage

import (
	"slices"
	"sync/atomic"

	"github.com/penstock-go/penstock/stage/internal/probe"
)

// EmitterProbe is an emitter outside of a stage, and reads what it was told. Package
// stagetest makes them, for tests of handlers; programs cannot.
type EmitterProbe[T any] struct {
	emit    Emitter[T]
	name    string
	first   int         // the number of the first input of the running call
	held    map[int]int // numbers of held inputs, by slot
	outside atomic.Bool // the emitter was used while no handler ran
}

// EmitterReport is what a handler has emitted and said of its inputs in one call.
type EmitterReport[T any] struct {
	Events []T
	// Inputs has the numbers of each event's inputs, in ascending order.
	Inputs [][]int
	// Ended are the inputs that have a receipt without any event.
	Ended []InputEnd
	// Held are the inputs that are held now, in ascending order.
	Held []int
}

// InputEnd is the end of an input for which nothing was emitted.
type InputEnd struct {
	Input int
	Err   error
}

// NewEmitterProbe makes the emitter of a handler that is called name.
func NewEmitterProbe[T any](_ probe.Key, name string) *EmitterProbe[T] {
	p := &EmitterProbe[T]{name: name, held: make(map[int]int)}
	p.emit.wake = func() { p.outside.Store(true) }
	p.emit.phase.Store(resting)
	return p
}

// Emitter returns the emitter.
func (p *EmitterProbe[T]) Emitter() *Emitter[T] { return &p.emit }

// Begin begins a call of a handler: HandleEvents for the n inputs from number first on,
// or another one if n is 0. The error is ErrOutside if the emitter was used before.
func (p *EmitterProbe[T]) Begin(first, n int) error {
	if p.emit.Len() > 0 || p.outside.Load() {
		return ErrOutside
	}
	p.emit.phase.Store(handling)
	p.first = first
	p.emit.chunk, p.emit.tracked = n, n > 0
	return nil
}

// End ends the call. failed says that the handler has returned an error, so that its
// inputs have no receipt. The error is that with which a stage stops for a wrong use of
// the emitter.
func (p *EmitterProbe[T]) End(failed bool) (EmitterReport[T], error) {
	em := &p.emit
	em.phase.Store(resting)
	n := em.chunk
	em.chunk = 0
	defer func() {
		clear(em.buf)
		em.passed += uint64(len(em.buf))
		em.buf = em.buf[:0]
		em.forget()
	}()
	r := EmitterReport[T]{Events: slices.Clone(em.buf), Inputs: make([][]int, len(em.buf))}
	if failed {
		return r, nil
	}
	owner := ownerOf(p.name)
	taken := make([]bool, n)
	if em.foreign != "" {
		return r, owner.Refuse("Emitter."+em.foreign, "an input of another stage", "what Hold of the same stage has returned")
	}
	if em.wrong != "" {
		return r, misnamed(p.name, em.wrong, em.wrongAt, n)
	}
	for _, f := range em.failures {
		if f.input < 0 || f.input >= n {
			return r, misnamed(p.name, "Fail", f.input, n)
		}
		if !taken[f.input] {
			taken[f.input] = true
			r.Ended = append(r.Ended, InputEnd{p.first + f.input, f.err})
		}
	}
	for _, f := range em.fresh {
		if f.input < 0 || f.input >= n {
			return r, misnamed(p.name, "Hold", f.input, n)
		}
		if taken[f.input] {
			return r, owner.Refuse("Emitter.Hold", f.input, "an event that is not held already and has not failed")
		}
		taken[f.input] = true
		p.held[int(f.slot)] = p.first + f.input
	}
	for _, h := range em.ends {
		r.Ended = append(r.Ended, InputEnd{p.takeHeld(h.slot), h.err})
	}
	if err := p.origins(&r, n, taken); err != nil {
		return r, err
	}
	for _, input := range p.held {
		r.Held = append(r.Held, input)
	}
	slices.Sort(r.Held)
	return r, nil
}

// origins fills in which inputs each event belongs to, and which are finished without
// any event, by the rules of descend.
func (p *EmitterProbe[T]) origins(r *EmitterReport[T], n int, taken []bool) error {
	em := &p.emit
	var all []int
	each := em.byInput(0, len(em.buf), taken)
	if each {
		em.split()
	}
	for i, m := range em.marks {
		inputs := []int{p.first + m.input}
		if m.held {
			inputs = inputs[:0]
			for _, slot := range em.released[m.lo:m.hi] {
				inputs = append(inputs, p.takeHeld(slot))
			}
		}
		if !each {
			if m.held {
				all = append(all, inputs...)
				continue
			}
			from, to := em.events(i, len(em.buf))
			if last, method := m.lastNamed(to - from); last < 0 || last >= n {
				return misnamed(p.name, method, last, n)
			}
			continue
		}
		_, to := em.events(i, len(em.buf))
		if m.at == to {
			// Held inputs without an event are finished; others may be named again.
			for _, input := range inputs {
				if m.held {
					r.Ended = append(r.Ended, InputEnd{Input: input})
				}
			}
			continue
		}
		slices.Sort(inputs)
		for at := m.at; at < to; at++ {
			r.Inputs[at] = inputs
		}
		if !m.held {
			taken[m.input] = true
		}
	}
	for i := range n {
		switch {
		case taken[i]:
		case each:
			r.Ended = append(r.Ended, InputEnd{Input: p.first + i})
		default:
			all = append(all, p.first+i)
		}
	}
	if each {
		return nil
	}
	slices.Sort(all)
	if len(em.buf) == 0 {
		for _, input := range all {
			r.Ended = append(r.Ended, InputEnd{Input: input})
		}
	}
	for at := range r.Inputs {
		r.Inputs[at] = all
	}
	return nil
}

// split replaces each mark of FromEach by those of From that say the same.
func (e *Emitter[T]) split() {
	var marks []mark
	for i, m := range e.marks {
		if !m.each {
			marks = append(marks, m)
			continue
		}
		from, to := e.events(i, len(e.buf))
		for at := from; at < to; at++ {
			marks = append(marks, mark{at: at, input: m.input + at - from})
		}
	}
	e.marks = marks
}

// takeHeld returns the number of the input in a slot that was freed.
func (p *EmitterProbe[T]) takeHeld(slot uint32) int {
	input := p.held[int(slot)]
	delete(p.held, int(slot))
	return input
}
