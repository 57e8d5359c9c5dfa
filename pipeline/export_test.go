package pipeline

import "github.com/penstock-go/penstock/stage"

// BatchHandler returns the handler of a Batch step.
func BatchHandler[T any](cfg BatchConfig[T]) stage.ProducerConsumer[T, []T] {
	return newBatcher(cfg.withDefaults())
}
