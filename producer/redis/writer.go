package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/option"
)

// WriterConfig configures [NewWriter]. Options and Stream are required.
type WriterConfig struct {
	// Options say where Redis is and how to log in. The writer makes a client of its own of a
	// copy.
	Options *goredis.UniversalOptions
	// Stream is the stream that is written to.
	Stream string
}

// Writer appends entries to a stream. All methods may be called from any goroutine.
type Writer struct {
	client goredis.UniversalClient
	stream string
}

// NewWriter makes a writer. It does not wait for Redis; an error is an [*OptionError].
func NewWriter(cfg WriterConfig) (*Writer, error) {
	owner := option.Owner("redis.Writer")
	if err := option.First(
		owner.Needs("Options", cfg.Options, "options of a client"),
		owner.Check(cfg.Stream != "", "Stream", cfg.Stream, "a name"),
	); err != nil {
		return nil, err
	}
	return &Writer{client: goredis.NewUniversalClient(options(cfg.Options)), stream: cfg.Stream}, nil
}

// Append appends entries (XADD), each with these fields, in their order and in one round trip.
// nil means that Redis has accepted all of them; how durable they are is Redis's
// appendfsync. After an error some may have been appended, or may still be: an entry that is
// appended once more is a second entry. A field is required.
func (w *Writer) Append(ctx context.Context, entries ...map[string]string) error {
	if len(entries) == 0 {
		return nil
	}
	_, err := w.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for _, values := range entries {
			pipe.XAdd(ctx, &goredis.XAddArgs{Stream: w.stream, Values: values})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("redis: append: %w", err)
	}
	return nil
}

// Close ends the writer's connections.
func (w *Writer) Close() error { return w.client.Close() }
