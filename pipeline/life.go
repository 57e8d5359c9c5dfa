package pipeline

// life is the state of a step while its pipeline runs.
type life struct {
	made made // its stage now
}
