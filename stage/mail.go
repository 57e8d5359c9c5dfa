package stage

// kind says what a mail is about.
type kind uint8

const (
	mailEvents     kind = iota // up, batch: events arrived
	mailEnded                  // up, x error: the producer has ended it
	mailSubscribe              // down: somebody subscribes
	mailAsk                    // down, n, done, spent, x *settled
	mailCancel                 // down, x error: the consumer wants it to end
	mailBye                    // down, n, done, x error: the consumer has ended it and handled n in all
	mailJoin                   // up: subscribe to a producer
	mailDo                     // x func()
	mailInfo                   // x any
	mailInfoBehind             // x any: behind what is buffered
	mailMode                   // n DemandMode
	mailDrain                  // x map[*node]bool or nil: the stages that drain together
	mailStop                   // x error
)

// mail is what a stage is told. up concerns a subscription in which the stage
// consumes, down one in which it produces.
type mail[In, Out any] struct {
	kind  kind
	done  int32
	n     int
	up    *Subscription[In]
	batch *batch[In]
	down  *Subscription[Out]
	spent *batch[Out]
	x     any
}

func (e *engine[In, Out]) postEvents(s *Subscription[In], b *batch[In]) bool {
	return e.box.Post(mail[In, Out]{kind: mailEvents, up: s, batch: b})
}

func (e *engine[In, Out]) postEnded(s *Subscription[In], reason error) bool {
	return e.box.Post(mail[In, Out]{kind: mailEnded, up: s, x: reason})
}

func (e *engine[In, Out]) postSubscribe(s *Subscription[Out]) bool {
	return e.box.Post(mail[In, Out]{kind: mailSubscribe, down: s})
}

func (e *engine[In, Out]) postAsk(s *Subscription[Out], n, done int, spent *batch[Out], list *settled) bool {
	m := mail[In, Out]{kind: mailAsk, down: s, n: n, done: int32(done), spent: spent}
	if list != nil {
		m.x = list
	}
	return e.box.Post(m)
}

func (e *engine[In, Out]) postCancel(s *Subscription[Out], reason error) bool {
	return e.box.Post(mail[In, Out]{kind: mailCancel, down: s, x: reason})
}

func (e *engine[In, Out]) postBye(s *Subscription[Out], total, done int, reason error) bool {
	return e.box.Post(mail[In, Out]{kind: mailBye, down: s, n: total, done: int32(done), x: reason})
}

func (e *engine[In, Out]) poke()             { e.box.Poke() }
func (e *engine[In, Out]) stageName() string { return e.name }
func (e *engine[In, Out]) stageID() uint64   { return e.id }
func (e *engine[In, Out]) vertex() *node     { return &e.node }
func (e *engine[In, Out]) begun() bool       { return e.started.Load() }
func (e *engine[In, Out]) tracks() bool      { return e.out.tracks() }
