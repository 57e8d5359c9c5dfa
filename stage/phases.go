package stage

// readiness is how far the start of a stage has come. launch sets occupying before the
// goroutine exists, and the goroutine sets the phases after it; others read it once
// engine.ready is closed.
type readiness uint8

const (
	unstarted readiness = iota
	occupying           // no other stage can use the handler and the dispatcher until this one has stopped
	greeted             // HandleStart was called, if there is one
	ready               // the start has succeeded
)

// progress is how near a stage is to its end. It only goes up, and only the stage's
// goroutine changes it, or neverRun in its place. A consumer goes from flowing to over
// directly.
type progress uint8

const (
	flowing progress = iota
	dry              // the source emits nothing more; what is there is delivered
	closing          // subscribers have been sent the end
	over             // the stage leaves its loop
)

// reach brings the stage nearer to its end.
func (e *engine[In, Out]) reach(p progress) { e.progress = max(e.progress, p) }

func (e *engine[In, Out]) isDry() bool  { return e.progress >= dry }
func (e *engine[In, Out]) isOver() bool { return e.progress == over }

// intakePhase is the state of a subscription at its consumer. It belongs to the consumer's
// goroutine and only goes up; a subscription without inputs to wait for skips
// intakeWaiting.
type intakePhase uint8

const (
	intakeOpen    intakePhase = iota
	intakeEnded               // the producer sends nothing more; what came is being handled
	intakeWaiting             // all was handled; the inputs of a producer-consumer have no receipt yet
	intakeOver                // everything is finished, and the producer knows
)

// supplyPhase is the state of a subscription at its producer. It belongs to the producer's
// goroutine and only goes up.
type supplyPhase uint8

const (
	supplyProposed supplyPhase = iota // the producer has not accepted it yet
	supplyActive                      // it has a slot, and is delivered to
	supplyLeaving                     // it has a slot until its consumer has said goodbye
	supplyGone                        // it was refused, or has ended
)

// placed reports whether the subscription has a slot at its producer.
func (p supplyPhase) placed() bool { return p == supplyActive || p == supplyLeaving }
