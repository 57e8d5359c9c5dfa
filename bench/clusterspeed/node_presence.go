//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// tracked is a tracker of this node with the end of its presences.
type tracked struct {
	tracker *presence.Tracker
	leave   context.CancelFunc
	owner   context.Context
	stop    func()
}

const presenceTopic = "room:presence"

// tracking says what a node is to track.
type tracking struct {
	Tracker string `json:"tracker"`
	First   int    `json:"first"`
	Count   int    `json:"count"`
}

// tracker returns the tracker of a name, which runs.
func (n *node) tracker(name string, fetch func(context.Context, string, []string) (map[string]map[string]any, error)) (*tracked, error) {
	if t := n.trackers[name]; t != nil {
		return t, nil
	}
	tracker, err := presence.New(presence.Config{Hub: n.hub, Name: name, Fetch: fetch})
	if err != nil {
		return nil, err
	}
	t := &tracked{tracker: tracker, stop: n.run("the tracker", tracker.Run)}
	t.owner, t.leave = context.WithCancel(context.Background())
	n.trackers[name] = t
	return t, nil
}

// track tracks presences and returns when it began.
func (n *node) track(_ context.Context, cfg tracking) (begin time.Time, err error) {
	t, err := n.tracker(cfg.Tracker, nil)
	if err != nil {
		return begin, err
	}
	begin = time.Now()
	for i := range cfg.Count {
		if _, err := t.tracker.Track(t.owner, presenceTopic, user(cfg.First+i), map[string]any{"device": "phone", "online_at": 1_700_000_000 + i}); err != nil {
			return begin, err
		}
	}
	return begin, nil
}

func user(n int) string { return fmt.Sprint("user-", n) }

// untrack ends the tracker of a name.
func (n *node) untrack(_ context.Context, name string) (none, error) {
	t := n.trackers[name]
	delete(n.trackers, name)
	if t == nil {
		return none{}, nil
	}
	t.stop()
	t.leave()
	return none{}, nil
}

// expected are presences that are waited for.
type expected struct {
	Tracker string `json:"tracker"`
	Count   int    `json:"count"`
	Key     int    `json:"key"`
}

// seen is when they were seen.
type seen struct {
	At       time.Time     `json:"at"`
	Took     time.Duration `json:"took"`     // from the call
	Messages int64         `json:"messages"` // of other nodes, since the call
}

// awaitCount waits until so many keys are present.
func (n *node) awaitCount(ctx context.Context, cfg expected) (s seen, err error) {
	begin, before := time.Now(), n.hub.Snapshot().Received
	t, err := n.tracker(cfg.Tracker, nil)
	if err != nil {
		return s, err
	}
	err = until(ctx, fmt.Sprintf("%d presences", cfg.Count), func() bool { return t.tracker.Count(presenceTopic) == cfg.Count })
	return seen{time.Now(), time.Since(begin), n.hub.Snapshot().Received - before}, err
}

// awaitOnline waits until a key is present.
func (n *node) awaitOnline(ctx context.Context, cfg expected) (s seen, err error) {
	t, err := n.tracker(cfg.Tracker, nil)
	if err != nil {
		return s, err
	}
	begin := time.Now()
	err = until(ctx, "a presence", func() bool { return t.tracker.Online(presenceTopic, user(cfg.Key)) })
	return seen{At: time.Now(), Took: time.Since(begin)}, err
}

// joins is a herd of joins.
type joins struct {
	Count int           `json:"count"`
	Fetch time.Duration `json:"fetch"` // that each call of Fetch takes
}

// herd makes joins all at once while each call of Fetch takes its time, and returns the
// longest call of Track.
func (n *node) herd(_ context.Context, cfg joins) (longest time.Duration, err error) {
	t, err := n.tracker("herd", func(ctx context.Context, _ string, _ []string) (map[string]map[string]any, error) {
		select {
		case <-ctx.Done():
		case <-time.After(cfg.Fetch):
		}
		return nil, nil
	})
	if err != nil {
		return 0, err
	}
	sub, err := n.hub.Subscribe(presenceTopic, pubsub.SubscriberFunc(func(*pubsub.Message) bool { return true }))
	if err != nil {
		return 0, err
	}
	defer sub.Unsubscribe()
	took, errs := make([]time.Duration, cfg.Count), make([]error, cfg.Count)
	var group sync.WaitGroup
	for i := range cfg.Count {
		group.Go(func() {
			begin := time.Now()
			_, errs[i] = t.tracker.Track(t.owner, presenceTopic, user(i), nil)
			took[i] = time.Since(begin)
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return slices.Max(took), nil
}
