package kafka

// HandleInspect implements stage.InspectHandler: it returns the [Snapshot].
func (p *Producer[T]) HandleInspect() any { return p.Snapshot() }
