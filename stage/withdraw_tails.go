package stage

// WithdrawTails asks events back that the stage has emitted and not delivered: of each list
// those that come after the last one which is with a consumer or has ended, in the order of
// their numbers. They get a receipt with the outcome Withdrawn. Those before it stay and are
// delivered as usual. So a source whose events of a queue end in any order gives up the end of the
// queue without a gap before what is finished. It is for producers with HandleReceipts; for
// others it does nothing. It returns at once and may be called from any goroutine.
func (h *Handle) WithdrawTails(lists ...[]Span) {
	tails := make([]spans, 0, len(lists))
	for _, list := range lists {
		if s := newSpans(list); len(s) > 0 {
			tails = append(tails, s)
		}
	}
	if len(tails) > 0 {
		h.post(mailWithdrawTails, tails)
	}
}

// withdrawTails takes the request of a source.
func (e *engine[In, Out]) withdrawTails(lists []spans) {
	if e.out == nil || !e.out.sourced {
		return
	}
	e.out.serve() // what was emitted before the request gets its numbers first
	here := e.out.undelivered()
	var tails []Span
	for _, list := range lists {
		tails = list.tail(here, tails)
	}
	if len(tails) > 0 {
		e.out.withdraw(newSpans(tails))
	}
	e.again = true
}

// undelivered returns the events in the buffer and, if it gives events back, in the
// dispatcher.
func (o *outlet[T]) undelivered() spans {
	var list []Span
	note := func(seq uint64) bool {
		list = append(list, Span{seq, 1})
		return false
	}
	o.buf.withdraw(note, nil)
	if o.withdrawer != nil {
		o.withdrawer.Withdraw(note, nil)
	}
	return newSpans(list)
}

// tail appends the end of s, as far as all of its numbers are in here, to list.
func (s spans) tail(here spans, list []Span) []Span {
	for i := len(s) - 1; i >= 0; i-- {
		last := s[i].end() - 1
		j := here.after(last)
		if j == 0 || last >= here[j-1].end() {
			break
		}
		first := max(s[i].First, here[j-1].First)
		list = append(list, Span{first, int(last - first + 1)})
		if first > s[i].First {
			break
		}
	}
	return list
}
