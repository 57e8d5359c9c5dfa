package feed

// Snapshot is the state of a feed at one moment.
type Snapshot struct {
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

// HandleInspect implements stage.InspectHandler: it returns a [Snapshot]. Like all
// handlers it runs on the stage's goroutine.
func (f *Stage[T]) HandleInspect() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Snapshot{Demand: f.owed, Ready: f.ready.Len(), Reading: f.begun, Ended: f.over}
	select {
	case <-f.gone:
		s.Reading = false
	default:
	}
	return s
}
