package presence

// NewAt is New on a node whose clock shows a time.
var NewAt = newTracker
