package kafka

// HandleInspect implements stage.InspectHandler: it returns the [Stats].
func (p *Producer[T]) HandleInspect() any { return p.Stats() }
