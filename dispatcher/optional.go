package dispatcher

// EachGiver is what an [Out] may be as well: one that takes scattered events in
// one call.
type EachGiver interface {
	// GiveEach hands the events at the given places of the current offer to
	// sub, in that order, like as many calls of Give. The slice may be used
	// again afterwards.
	GiveEach(sub int, at []int32)
}

// Returner is a dispatcher that takes events back which their consumer had not
// handled when it died. Without it they go to the front of the stage's buffer,
// which is behind what a [Holder] holds.
type Returner[T any] interface {
	// PutBack puts an event before all others that the dispatcher holds for
	// the same taker. Of several events the last one is put back first.
	PutBack(event T, seq uint64)
}
