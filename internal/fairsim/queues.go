package fairsim

// fifo is a bounded first-in, first-out queue that refuses what does not fit.
type fifo struct {
	events []Event
	head   int
	bound  int
}

// push appends an event, or returns false if the queue is full. The part that was
// popped is reused once it is more than half.
func (q *fifo) push(e Event) bool {
	if len(q.events)-q.head >= q.bound {
		return false
	}
	if q.head > 4096 && q.head > len(q.events)/2 {
		q.events = append(q.events[:0], q.events[q.head:]...)
		q.head = 0
	}
	q.events = append(q.events, e)
	return true
}

func (q *fifo) pop() (Event, bool) {
	if q.head == len(q.events) {
		return Event{}, false
	}
	q.head++
	return q.events[q.head-1], true
}

// FIFO is one queue for all.
type FIFO struct{ q fifo }

// NewFIFO is a queue of at most bound events.
func NewFIFO(bound int) *FIFO { return &FIFO{fifo{bound: bound}} }

// Arrive implements Queue.
func (f *FIFO) Arrive(_ int64, e Event) []Event {
	if !f.q.push(e) {
		return []Event{e}
	}
	return nil
}

// Next implements Queue.
func (f *FIFO) Next(int64, int) (Event, bool) { return f.q.pop() }

// Done implements Queue.
func (f *FIFO) Done(int64, Event) {}

// Partitioned has a queue for every worker and gives each user one of them, as
// a hash partitioner does.
type Partitioned struct{ qs []fifo }

// NewPartitioned shares bound among the workers.
func NewPartitioned(workers, bound int) *Partitioned {
	p := &Partitioned{make([]fifo, workers)}
	for i := range p.qs {
		p.qs[i].bound = bound / workers
	}
	return p
}

// Arrive implements Queue.
func (p *Partitioned) Arrive(_ int64, e Event) []Event {
	h := uint64(e.User) * 0x9e3779b97f4a7c15
	if !p.qs[(h>>32)%uint64(len(p.qs))].push(e) {
		return []Event{e}
	}
	return nil
}

// Next implements Queue.
func (p *Partitioned) Next(_ int64, worker int) (Event, bool) { return p.qs[worker].pop() }

// Done implements Queue.
func (p *Partitioned) Done(int64, Event) {}

// RoundRobin gives every user with events one turn after the other, newcomers
// at the end, whatever is running, and drops the newest of the longest queue.
type RoundRobin struct {
	users map[int]*fifo
	ring  fifo // of users
	held  int
	bound int
}

// NewRoundRobin holds at most bound events.
func NewRoundRobin(bound int) *RoundRobin {
	return &RoundRobin{users: map[int]*fifo{}, ring: fifo{bound: 1 << 30}, bound: bound}
}

// Arrive implements Queue.
func (r *RoundRobin) Arrive(_ int64, e Event) (dropped []Event) {
	u := r.users[e.User]
	if u == nil {
		u = &fifo{bound: 1 << 30}
		r.users[e.User] = u
	}
	if len(u.events) == u.head {
		r.ring.push(Event{User: e.User})
	}
	u.push(e)
	if r.held++; r.held > r.bound {
		long := u
		for _, q := range r.users {
			n, most := len(q.events)-q.head, len(long.events)-long.head
			if n > most || n == most && q.events[q.head].Seq < long.events[long.head].Seq {
				long = q
			}
		}
		last := long.events[len(long.events)-1]
		long.events = long.events[:len(long.events)-1]
		r.held--
		dropped = append(dropped, last)
	}
	return dropped
}

// Next implements Queue.
func (r *RoundRobin) Next(int64, int) (Event, bool) {
	for {
		turn, ok := r.ring.pop()
		if !ok {
			return Event{}, false
		}
		u := r.users[turn.User]
		e, ok := u.pop()
		if !ok {
			continue
		}
		r.held--
		if len(u.events) > u.head {
			r.ring.push(turn)
		}
		return e, true
	}
}

// Done implements Queue.
func (r *RoundRobin) Done(int64, Event) {}

// Oracle knows the victims and always serves them first, in order of arrival:
// what remains of a flood under it is what no queue can take away, since a
// worker cannot be interrupted.
type Oracle struct {
	victims, flood fifo
	last           int // the last victim
}

// NewOracle holds all victims' events and at most bound of the flooders'.
func NewOracle(victims, bound int) *Oracle {
	return &Oracle{fifo{bound: 1 << 30}, fifo{bound: bound}, victims - 1}
}

// Arrive implements Queue.
func (o *Oracle) Arrive(_ int64, e Event) []Event {
	q := &o.flood
	if e.User <= o.last {
		q = &o.victims
	}
	if !q.push(e) {
		return []Event{e}
	}
	return nil
}

// Next implements Queue.
func (o *Oracle) Next(int64, int) (Event, bool) {
	if e, ok := o.victims.pop(); ok {
		return e, true
	}
	return o.flood.pop()
}

// Done implements Queue.
func (o *Oracle) Done(int64, Event) {}
