//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// wanting says which topics a node is to want.
type wanting struct {
	First int `json:"first"`
	Count int `json:"count"`
}

// topics subscribes to topics of users, all at once, and returns how long it took until
// they were in effect at all nodes.
func (n *node) topics(ctx context.Context, cfg wanting) (took time.Duration, err error) {
	begin := time.Now()
	last := ""
	for i := range cfg.Count {
		last = fmt.Sprint("owner:", cfg.First+i)
		s, err := n.hub.Subscribe(last, pubsub.SubscriberFunc(taker))
		if err != nil {
			return 0, err
		}
		n.users = append(n.users, s)
	}
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n.hub.Settle(limit, last)
	return time.Since(begin), n.remote.Sync(limit)
}
