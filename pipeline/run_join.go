package pipeline

// join waits for the subscription of an edge to be sent: stages do that on goroutines of
// their own, one that runs when its handler has returned. Until then the stage above must
// not drain: it would refuse the subscription, end without a subscriber, and let the events
// go that it has to deliver again. The caller holds Pipeline.mu.
func (r *run) join(e *edge, fresh bool) {
	up := e.up
	up.joining++
	if !fresh { // the stages' own drain waits for the start of new ones
		r.joining++
	}
	joined := func() {
		r.box.Post(func() {
			r.p.mu.Lock()
			defer r.p.unlock()
			up.joining--
			if !fresh {
				r.joining--
			}
			up.ebb()
			r.finishDrain()
		})
	}
	// It runs after the subscription was sent, or at the end of the stage.
	if !e.down.made.stage.Do(joined) {
		joined()
	}
}
