package main

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/deadletter"
)

// object is a snapshot that is made up.
type object = map[string]any

// dashboard shows the pipeline, and made-up snapshots of what needs servers: sockets,
// topics and a cluster of three nodes, one of which is missing.
func (s *scene) dashboard(o options) (*dashboard.Dashboard, error) {
	cfg := dashboard.Config{Title: "Push pipeline", Interval: o.interval, Logger: slog.New(slog.DiscardHandler)}
	if o.control {
		cfg.Allow = func(*http.Request) bool { return true }
	}
	down := []string{"node-c"}
	slow := []object{{"socket": "user", "id": "c-81", "frames": 212, "bytes": 48_000}}
	if o.calm {
		down, slow = nil, nil
	}
	begun := time.Now()
	// count is a count since the start that grows by so many a second.
	count := func(perSecond int) int { return int(time.Since(begun).Seconds() * float64(perSecond)) }
	parts := []dashboard.Part{
		dashboard.Pipeline(s.pipe),
		made("sockets", "clients", func() any {
			return object{"connections": 1240, "channels": 3720, "hung_handlers": 0, "hung_connects": 0, "queued_frames": 37, "queued_bytes": 9000, "slow": slow, "slow_count": len(slow)}
		}),
		made("topics", "hub", func() any {
			return object{"node": "node-a", "running": true, "reach": 2, "topics": 3720, "published": count(40), "received": count(12), "lost": 0, "pending": 2}
		}),
		made("presence", "users", func() any {
			return object{"node": "node-a", "presences": 1240, "up": []string{"node-b"}, "down": down, "waiting": 0, "sent": count(3), "failed": 0}
		}),
		made("weather", "outside", func() any {
			return object{"degrees": 21, "wind": "from the west", "rain": false, "measured": count(1)}
		}),
		dashboard.DeadLetters("failed pushes", dashboard.LettersConfig{Read: s.read, Count: func() int { return len(s.letters.Letters()) }, Play: s.play}),
	}
	if o.stages > 0 {
		parts = append(parts, made("stages", "crawler", func() any { return crowd(o.stages, count(100)) }))
	}
	return dashboard.New(cfg, parts...)
}

// read returns the dead letters.
func (s *scene) read() iter.Seq2[deadletter.Letter, error] {
	return func(yield func(deadletter.Letter, error) bool) {
		for _, l := range s.letters.Letters() {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// play pushes the event of a letter again, under a number that does not fail.
func (s *scene) play(_ context.Context, l deadletter.Letter) error {
	var p push
	if err := json.Unmarshal(l.Event, &p); err != nil {
		return err
	}
	p.N++
	return s.queue.TryPush(p)
}

// made is a part with a made-up snapshot.
func made(kind, name string, snapshot func() any) dashboard.Part {
	return dashboard.Part{Kind: kind, Name: name, Snapshot: func(context.Context) any { return snapshot() }}
}
