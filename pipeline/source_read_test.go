package pipeline_test

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/penstock-go/penstock/pipeline"
)

// Readers are read to their end, and an error ends the pipeline after what was before it.
func TestFromReaders(t *testing.T) {
	refused := errors.New("refused")
	for _, c := range []struct {
		name string
		from func(p *pipeline.Pipeline) *pipeline.Flow[string]
		want []string
		err  error
	}{
		{"lines", func(p *pipeline.Pipeline) *pipeline.Flow[string] {
			return pipeline.FromScanner(p, bufio.NewScanner(strings.NewReader("a\nb\n\nc")), pipeline.SourceConfig[string]{})
		}, []string{"a", "b", "", "c"}, nil},
		{"lines and an error", func(p *pipeline.Pipeline) *pipeline.Flow[string] {
			in := io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(refused))
			return pipeline.FromScanner(p, bufio.NewScanner(in), pipeline.SourceConfig[string]{})
		}, []string{"a", "b"}, refused},
		{"a line that is too long", func(p *pipeline.Pipeline) *pipeline.Flow[string] {
			in := strings.NewReader("a\n" + strings.Repeat("b", bufio.MaxScanTokenSize+1) + "\nc\n")
			return pipeline.FromScanner(p, bufio.NewScanner(in), pipeline.SourceConfig[string]{})
		}, []string{"a"}, bufio.ErrTooLong},
		{"records", func(p *pipeline.Pipeline) *pipeline.Flow[string] {
			in := pipeline.FromRead(p, csv.NewReader(strings.NewReader("a,b\nc,d\n")).Read, pipeline.SourceConfig[[]string]{})
			return pipeline.Map(in, func(_ context.Context, r []string) (string, error) { return r[0] + r[1], nil }, pipeline.StepConfig[[]string]{})
		}, []string{"ab", "cd"}, nil},
		{"records and an error", func(p *pipeline.Pipeline) *pipeline.Flow[string] {
			in := pipeline.FromRead(p, csv.NewReader(strings.NewReader("a,b\nc\nd,e\n")).Read, pipeline.SourceConfig[[]string]{})
			return pipeline.Map(in, func(_ context.Context, r []string) (string, error) { return r[0] + r[1], nil }, pipeline.StepConfig[[]string]{})
		}, []string{"ab"}, csv.ErrFieldCount},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			var got []string
			pipeline.Each(c.from(p), func(_ context.Context, s string) error {
				got = append(got, s)
				return nil
			}, pipeline.StepConfig[string]{})
			if err := p.Run(t.Context()); !errors.Is(err, c.err) || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Without a reader nothing starts.
func TestFromReadersNeedsOne(t *testing.T) {
	p := pipeline.New(pipeline.Config{Logger: quiet})
	a := pipeline.FromScanner(p, nil, pipeline.SourceConfig[string]{})
	b := pipeline.FromRead[string](p, nil, pipeline.SourceConfig[string]{})
	pipeline.Each(pipeline.Merge(a, b), func(context.Context, string) error { return nil }, pipeline.StepConfig[string]{})
	if err := p.Run(t.Context()); err == nil || strings.Count(err.Error(), "something to read") != 2 {
		t.Error(err)
	}
}

// What was read is handled, also when the pipeline drains meanwhile.
func TestFromReadHandlesWhatItHasRead(t *testing.T) {
	for range 20 {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		read, handled := 0, 0
		in := pipeline.FromRead(p, func() (int, error) {
			if read++; read == 1000 {
				p.Drain()
			}
			return read, nil
		}, pipeline.SourceConfig[int]{})
		pipeline.Each(in, func(context.Context, int) error { handled++; return nil }, pipeline.StepConfig[int]{})
		if err := p.Run(t.Context()); err != nil || read < 1000 || handled != read {
			t.Errorf("%d read, %d handled, %v", read, handled, err)
		}
	}
}
