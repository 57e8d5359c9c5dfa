package producer

// HandleInspect implements stage.InspectHandler: it returns the counts of Stats.
func (q *Queue[T]) HandleInspect() any { return q.Stats() }

// SourceSnapshot is the state of a [Seq], [Chan] or [Stream] at one moment.
type SourceSnapshot struct {
	// Demand is what was asked for and has not been emitted, Ready how much of it
	// was read.
	Demand int `json:"demand"`
	Ready  int `json:"ready"`
	// Reading reports that the goroutine that reads the source has begun and not
	// ended.
	Reading bool `json:"reading"`
	// Ended reports that nothing more is taken from the source.
	Ended bool `json:"ended"`
}

// HandleInspect implements stage.InspectHandler: it returns a [SourceSnapshot].
func (f *feed[T]) HandleInspect() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := SourceSnapshot{Demand: f.owed, Ready: f.ready.Len(), Reading: f.begun, Ended: f.over}
	select {
	case <-f.gone:
		s.Reading = false
	default:
	}
	return s
}
