package pipeline

import (
	"bufio"
	"errors"
	"io"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// FromRead adds a source that emits what read returns until it returns io.EOF, such as the
// records of a csv.Reader. Another error ends the pipeline with that error, after the values
// before it. Nothing is read ahead of demand, and a value that was read is handled, also
// when the pipeline drains meanwhile.
func FromRead[T any](p *Pipeline, read func() (T, error), cfg SourceConfig[T]) *Flow[T] {
	return fromRead(p, "read", read, read, cfg)
}

// FromScanner adds a source that emits the texts of a scanner, such as the lines of its
// reader. The scanner's error, as of a line that is too long for it, ends the pipeline with
// that error, after the texts before it.
func FromScanner(p *Pipeline, s *bufio.Scanner, cfg SourceConfig[string]) *Flow[string] {
	return fromRead(p, "s", s, func() (string, error) {
		if s.Scan() {
			return s.Text(), nil
		}
		if err := s.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	}, cfg)
}

// fromRead adds a source of read, which comes from the parameter with this name and value.
func fromRead[T any](p *Pipeline, name string, value any, read func() (T, error), cfg SourceConfig[T]) *Flow[T] {
	seq := func(yield func(T, error) bool) {
		for {
			value, err := read()
			if errors.Is(err, io.EOF) || !yield(value, err) || err != nil {
				return
			}
		}
	}
	cfg.Restart = Restart{MaxRestarts: NoRestart}
	return from(p, true, cfg, func(owner option.Owner) error { return owner.Needs(name, value, "something to read") },
		func() (stage.Producer[T], error) { return producer.NewSeq2(seq, producer.SeqConfig[T]{}) })
}
