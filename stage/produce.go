package stage

import "runtime"

// passes is the number of times that the handler is asked before the stage looks
// at its mail again. More than one is needed only where events are discarded
// rather than delivered, which does not lower the demand.
const passes = 16

// The handler is asked for a portion of the demand at once, if it emits at once: the events
// are on their way while it emits the next ones, and the demand of many subscribers does not
// make one emission of as many events. The portion grows from minPortion to maxPortion while
// a dispatcher splits it so that each subscriber gets thinBatch events or fewer of it, since
// waking a consumer costs as much as some fifty events.
const (
	minPortion = 1000
	maxPortion = 1 << 16
	thinBatch  = 32
)

// produce serves the events that are there, then asks the handler for the rest, until
// neither changes anything. Each pass begins with what the last one has caused: receipts,
// rejected subscriptions, messages whose turn has come.
//
// Demand that the handler was asked for is added to told before the call, and taken off as
// it emits, so that it is asked for each event once.
func (e *engine[In, Out]) produce() {
	o := e.out
	first := 0      // the demand of the first pass
	silent := false // the handler emits nothing at once, and is asked for all of it
	for pass := 0; !e.isOver(); pass++ {
		e.running = "Dispatch"
		o.serve()
		e.reportReceipts()
		for i := 0; i < len(o.rejects); i++ {
			e.cancelled(o.rejects[i].sub, o.rejects[i].reason)
		}
		o.rejects = o.rejects[:0]
		if o.fault != nil {
			e.stop(o.fault)
			return
		}
		if o.pins.Len() > 0 {
			if e.unpin(); o.emit.Len() > 0 {
				continue
			}
		}
		if e.do.demand == nil || e.isDry() || e.isOver() {
			return
		}
		// The mail may hold a stop or a cancellation, which would lower the demand.
		if pass == passes {
			e.again = true
			return
		}
		n := o.want()
		if n == 0 {
			return
		}
		ask := n
		if !silent {
			ask = min(n, o.portion)
		}
		if first == 0 {
			first = ask
		} else if ask < first/2 {
			// The demand gets less with each pass, as with a dispatcher that
			// lacks events for one subscriber only. The others may want to ask,
			// and can do so before the rest is asked for in small portions.
			e.again = true
			runtime.Gosched()
			return
		}
		o.told += ask
		e.running = "HandleDemand"
		e.check(e.do.demand(e.ctx, ask, &o.emit))
		if o.emit.Len() == 0 {
			// The handler emits later. It owes all of the demand now.
			if ask == n {
				return
			}
			silent = true
			continue
		}
		e.brisk = o.emit.Len() >= ask
	}
}

// reportReceipts passes the collected receipts to HandleReceipts. The slice is used again:
// the handler must not keep it.
func (e *engine[In, Out]) reportReceipts() {
	o := e.out
	if len(o.receipts) == 0 {
		return
	}
	list := o.receipts
	if f := e.do.receipts; f != nil {
		o.receipts = nil // a handler that panics has had them
		e.running = "HandleReceipts"
		e.check(f(e.ctx, list))
	}
	o.receipts = list[:0]
}
