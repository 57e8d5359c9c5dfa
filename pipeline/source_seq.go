package pipeline

import (
	"iter"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// FromSeq adds a source that emits what an iterator yields: the lines of a file, the
// elements of a slice, what a loop reads. It is [producer.NewSeq] as a step. The iterator
// is never ahead of demand by more than the value it yields; when the pipeline drains,
// yield returns false.
func FromSeq[T any](p *Pipeline, seq iter.Seq[T], cfg SourceConfig[T]) *Flow[T] {
	return fromSeq(p, seq, cfg, func() (*producer.Seq[T], error) { return producer.NewSeq(seq, producer.SeqConfig[T]{}) })
}

// FromSeq2 is FromSeq for an iterator that can fail: a value with an error ends the
// pipeline with that error, after the values before it.
func FromSeq2[T any](p *Pipeline, seq iter.Seq2[T, error], cfg SourceConfig[T]) *Flow[T] {
	return fromSeq(p, seq, cfg, func() (*producer.Seq[T], error) { return producer.NewSeq2(seq, producer.SeqConfig[T]{}) })
}

// fromSeq adds the source that make makes. An iterator runs once, and so the source is
// never made anew.
func fromSeq[T any](p *Pipeline, seq any, cfg SourceConfig[T], make func() (*producer.Seq[T], error)) *Flow[T] {
	cfg.Restart = Restart{MaxRestarts: NoRestart}
	return from(p, true, cfg, func(owner option.Owner) error { return owner.Needs("seq", seq, "an iterator") },
		func() (stage.Producer[T], error) { return make() })
}
