package metrics

// Ender is an instrument that can be told that its owner has ended.
type Ender interface {
	// End reports that the caller does not use the instrument any more. What was
	// recorded before is kept. The instrument, and others of its name and tags, may
	// still be used: then the series lives on. It does not block.
	End()
}

// End ends those of the instruments that are an [Ender]. Owners whose tags are
// short-lived, such as a pipeline for each tenant, end theirs, so that a recorder
// with a bound of series has room for others at once.
func End(instruments ...any) {
	for _, one := range instruments {
		if e, ok := one.(Ender); ok {
			e.End()
		}
	}
}
