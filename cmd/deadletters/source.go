package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/producer/kafka"
)

// item is a letter with its place.
type item struct {
	deadletter.Letter
	number int    // from 1 on, in the order in which they were stored
	id     string // stays the same when files are renamed or deleted
}

// maxNotes bounds the lines about what could not be read.
const maxNotes = 5

// items returns the letters that were asked for. What cannot be read is noted on the log;
// it makes the exit code 1, unless it is a line that is being written. The error is one
// that ends the reading.
func (t *tool) items(ctx context.Context) iter.Seq2[item, error] {
	source := t.fileItems
	if t.from != "" {
		source = t.topicItems
	}
	return func(yield func(item, error) bool) {
		bad := 0
		for i, err := range source(ctx) {
			var line *deadletter.LineError
			switch {
			case ctx.Err() != nil:
				yield(item{}, errors.New("interrupted"))
				return
			case errors.As(err, &line):
				if bad++; bad <= maxNotes {
					fmt.Fprintf(t.log, "deadletters: %v\n", err)
				}
				if !errors.Is(err, deadletter.ErrCutOff) {
					t.failed = true
				}
			case err != nil:
				yield(item{}, err)
				return
			case t.wants(i.number, &i.Letter):
				if !yield(i, nil) {
					return
				}
			}
		}
		if bad > maxNotes {
			fmt.Fprintf(t.log, "deadletters: %d lines could not be read\n", bad)
		}
	}
}

// fileItems returns the letters of the file and of those that were full before it.
func (t *tool) fileItems(context.Context) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		paths, err := deadletter.Files(t.file)
		if err == nil && len(paths) == 0 {
			_, err = os.Stat(t.file)
		}
		if err != nil {
			yield(item{}, err)
			return
		}
		number, seen := 0, map[[16]byte]int{}
		for _, path := range paths {
			for l, err := range deadletter.ReadFile(path) {
				if errors.Is(err, os.ErrNotExist) {
					continue // it was renamed in this moment: the next run has it
				}
				i := item{Letter: l}
				if err == nil {
					number++
					i.number, i.id = number, identify(&l, seen)
				} else {
					err = fmt.Errorf("%s: %w", path, err)
				}
				if !yield(i, err) {
					return
				}
			}
		}
	}
}

// identify returns an id that depends on nothing but the letter, and on how many equal
// ones were before it.
func identify(l *deadletter.Letter, seen map[[16]byte]int) string {
	h := sha256.New()
	for _, part := range []string{
		l.Pipeline, l.Stage, string(l.Event), l.Key, l.Error, fmt.Sprint(l.Attempts),
		l.First.UTC().Format(time.RFC3339Nano), l.Last.UTC().Format(time.RFC3339Nano), l.Source,
	} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	sum := [16]byte(h.Sum(nil))
	seen[sum]++
	return fmt.Sprintf("%s#%d", hex.EncodeToString(sum[:]), seen[sum])
}

// patience is how long a partition may send nothing although it is not read to its end:
// the last records of a compacted one may be missing.
const patience = 10 * time.Second

// topicItems returns the letters that a topic has now, partition by partition, so that their
// numbers are the same in the next run.
func (t *tool) topicItems(ctx context.Context) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		starts, ends, err := t.bounds(ctx)
		if err != nil {
			yield(item{}, err)
			return
		}
		number := 0
		for _, n := range slices.Sorted(maps.Keys(ends[t.from])) {
			for r, err := range t.partition(ctx, n, starts[t.from][n].Offset, ends[t.from][n].Offset) {
				if err != nil {
					yield(item{}, err)
					return
				}
				number++
				if !yield(item{kafka.LetterOf(r), number, kafka.PositionOf(r)}, nil) {
					return
				}
			}
		}
	}
}

// bounds returns the first offset of each partition of the topic, and that after the last.
func (t *tool) bounds(ctx context.Context) (starts, ends kadm.ListedOffsets, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...))
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	admin := kadm.NewClient(client)
	if starts, err = admin.ListStartOffsets(ctx, t.from); err == nil {
		err = starts.Error()
	}
	if err == nil {
		if ends, err = admin.ListEndOffsets(ctx, t.from); err == nil {
			err = ends.Error()
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("topic %q at %v: %w", t.from, t.brokers, err)
	}
	return starts, ends, nil
}

// partition returns the records of a partition from start to before end.
func (t *tool) partition(ctx context.Context, number int32, start, end int64) iter.Seq2[*kgo.Record, error] {
	return func(yield func(*kgo.Record, error) bool) {
		if start >= end {
			return
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			t.from: {number: kgo.NewOffset().At(start)},
		}))
		if err != nil {
			yield(nil, err)
			return
		}
		defer client.Close()
		for {
			wait, cancel := context.WithTimeout(ctx, patience)
			fetches := client.PollFetches(wait)
			cancel()
			if err := fetches.Err(); err != nil {
				if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
					fmt.Fprintf(t.log, "deadletters: partition %d of %q sends nothing more\n", number, t.from)
					return
				}
				yield(nil, err)
				return
			}
			for _, r := range fetches.Records() {
				if r.Offset >= end || !yield(r, nil) || r.Offset == end-1 {
					return
				}
			}
		}
	}
}
