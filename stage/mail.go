package stage

// kind is the kind of a mail. The comments name the fields that a mail of each kind uses.
type kind uint8

const (
	mailEvents        kind = iota // up, batch: events arrived
	mailEnded                     // up, x error: the producer has ended it
	mailSubscribe                 // down: a consumer subscribes
	mailAsk                       // down, n, done, spent, x *settled
	mailCancel                    // down, x error: the consumer wants it to end
	mailBye                       // down, done, x farewell: the consumer has ended it
	mailJoin                      // up: subscribe to a producer
	mailDo                        // x func()
	mailInfo                      // x any
	mailInfoBehind                // x any: after the buffered events
	mailEvery                     // x time.Duration: the period of HandleTick
	mailTick                      // n: the period of that number has passed
	mailWakeAt                    // x time.Time
	mailStalled                   // up: no more events come before receipts
	mailMode                      // n DemandMode
	mailDrain                     // x map[*node]bool or nil: the stages that drain together
	mailHandled                   // x *node: the program has handled its failure
	mailStop                      // x error
	mailWithdraw                  // x spans: events that the source asks back
	mailWithdrawTails             // x []spans: the same, of each list what is behind its last delivery
	mailWithdrawn                 // up: the producer has marked deliveries that are asked back
)

// mail is a message to a stage, from any goroutine. up is a subscription in which the
// stage consumes, down one in which it produces. One struct for all kinds keeps posting
// free of allocations, except for what x holds.
type mail[In, Out any] struct {
	kind kind
	// done counts receipts that come in order. n is demand, or a DemandMode.
	done  int32
	n     int
	up    *Subscription[In]
	batch *batch[In]
	down  *Subscription[Out]
	// spent is a chain of emptied batches that return to the producer.
	spent *batch[Out]
	x     any
}

// The functions below implement demandPort and eventPort. They may be called from any
// goroutine, never block, and return false if the stage has stopped. Then nothing else
// becomes of the mail: the sender accounts for what it held.
func (e *engine[In, Out]) postEvents(s *Subscription[In], b *batch[In]) bool {
	m := e.box.Begin()
	if m == nil {
		return false
	}
	m.kind, m.up, m.batch = mailEvents, s, b
	e.box.End()
	return true
}

func (e *engine[In, Out]) postEnded(s *Subscription[In], reason error) bool {
	return e.box.Post(mail[In, Out]{kind: mailEnded, up: s, x: reason})
}

func (e *engine[In, Out]) postSubscribe(s *Subscription[Out]) bool {
	return e.box.Post(mail[In, Out]{kind: mailSubscribe, down: s})
}

func (e *engine[In, Out]) postAsk(s *Subscription[Out], n, done int, spent *batch[Out], list *settled) bool {
	m := e.box.Begin()
	if m == nil {
		return false
	}
	m.kind, m.down, m.n, m.done, m.spent = mailAsk, s, n, int32(done), spent
	// A nil *settled must not become an x that is not nil.
	if list != nil {
		m.x = list
	}
	e.box.End()
	return true
}

func (e *engine[In, Out]) postCancel(s *Subscription[Out], reason error) bool {
	return e.box.Post(mail[In, Out]{kind: mailCancel, down: s, x: reason})
}

func (e *engine[In, Out]) postBye(s *Subscription[Out], done int, f farewell) bool {
	return e.box.Post(mail[In, Out]{kind: mailBye, down: s, done: int32(done), x: f})
}

// farewell is the last message of a consumer on a subscription. It tells the producer what
// becomes of the events that have no receipt: those in [from, to) may have been the cause
// of the consumer's failure, and the others only waited.
type farewell struct {
	handled  int    // events since the start
	from, to uint64 // positions of those that the handler had when it failed
	reason   error
	lost     []*node // the consumer if it has failed, and those that follow it which have
}

func (e *engine[In, Out]) refuses() bool     { return e.box.Closed() }
func (e *engine[In, Out]) poke()             { e.box.Poke() }
func (e *engine[In, Out]) stageName() string { return e.name }
func (e *engine[In, Out]) stageID() uint64   { return e.id }
func (e *engine[In, Out]) vertex() *node     { return &e.node }
func (e *engine[In, Out]) begun() bool       { return e.started.Load() }
