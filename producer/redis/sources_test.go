package redis

import (
	"cmp"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/stage"
)

const childStream = "PENSTOCK_REDIS_CHILD"

func TestMain(m *testing.M) {
	if sourcetest.Main(func() (stage.Producer[sourcetest.Event], error) {
		return NewProducer(eventConfig(os.Getenv("PENSTOCK_REDIS"), os.Getenv(childStream), sourcetest.Options{Window: sourcetest.KillWindow}))
	}) {
		return
	}
	goleak.VerifyTestMain(m)
}

func at(addr string) *goredis.UniversalOptions {
	return &goredis.UniversalOptions{Addrs: []string{addr}}
}

func eventConfig(addr, stream string, o sourcetest.Options) Config[sourcetest.Event] {
	if o.Addr != "" {
		addr = o.Addr
	}
	return Config[sourcetest.Event]{
		Options: at(addr), Streams: strings.Split(stream, ","), Group: "group", Window: o.Window, DeadLetters: o.DeadLetters, Lease: cmp.Or(o.Lease, time.Second),
		Decode: func(e Entry) (sourcetest.Event, error) { return sourcetest.Parse(e.Values["event"]) },
	}
}

// newStream returns a stream that no other test has.
func newStream(t testing.TB, client *goredis.Client) string {
	name := sourcetest.NewName()
	t.Cleanup(func() { client.Del(context.Background(), name) })
	return name
}

func connect(t testing.TB, addr string) *goredis.Client {
	client := goredis.NewClient(&goredis.Options{Addr: addr})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func backend(t *testing.T, names ...string) sourcetest.Backend {
	addr := sourcetest.Server(t, "redis")
	client := connect(t, addr)
	if names == nil {
		names = []string{newStream(t, client)}
	}
	turn := 0
	return sourcetest.Backend{
		Control: sourcetest.Control("redis"),
		Append: func(t testing.TB, events []sourcetest.Event, more ...string) {
			t.Helper()
			lists := make([][]map[string]string, len(names))
			for _, e := range events {
				more = append(more, e.Text())
			}
			for _, text := range more {
				lists[turn%len(names)] = append(lists[turn%len(names)], map[string]string{"event": text})
				turn++
			}
			for i, name := range names {
				w, err := NewWriter(WriterConfig{Options: at(addr), Stream: name})
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Append(t.Context(), lists[i]...); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
		},
		Source: func(t testing.TB, o sourcetest.Options) stage.Producer[sourcetest.Event] {
			return stage.Must(NewProducer(eventConfig(addr, strings.Join(names, ","), o)))
		},
		Left: func(t testing.TB) (n int) {
			for _, name := range names {
				n += left(t, client, name)
			}
			return n
		},
		Taken: func(source stage.Producer[sourcetest.Event]) int {
			return int(source.(*Producer[sourcetest.Event]).Snapshot().Fetched)
		},
		Child: []string{childStream + "=" + strings.Join(names, ",")},
		Addr:  addr,
	}
}

// left returns how many entries of a stream are not acknowledged: pending ones, and those after
// the last that was delivered.
func left(t testing.TB, client *goredis.Client, stream string) int {
	ctx := context.Background()
	groups, err := client.XInfoGroups(ctx, stream).Result()
	if err != nil || len(groups) == 0 {
		return int(client.XLen(ctx, stream).Val())
	}
	rest, err := client.XRange(ctx, stream, "("+groups[0].LastDeliveredID, "+").Result()
	if err != nil {
		return -1
	}
	return int(groups[0].Pending) + len(rest)
}

// TestSource runs the cases of all sources.
func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Backend { return backend(t) })
}

// TestSourceOfStreams runs them with three streams.
func TestSourceOfStreams(t *testing.T) {
	addr := sourcetest.Server(t, "redis")
	sourcetest.Run(t, func(t *testing.T) sourcetest.Backend {
		client := connect(t, addr)
		b := backend(t, newStream(t, client), newStream(t, client), newStream(t, client))
		b.Control, b.Addr = nil, ""
		return b
	})
}
