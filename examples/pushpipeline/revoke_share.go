package main

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// topicRevoked is where processes of a cluster share revocations. No client can join it.
const topicRevoked = "\xffpushpipeline:revoked"

// The events on topicRevoked.
const (
	eventRevoked = "revoked" // a list of revocations
	eventWhich   = "which"   // asks for all of them
)

// revocation is one user of a list: tokens that end at Until, in unix milliseconds, or
// earlier are revoked.
type revocation struct {
	User  string `json:"user"`
	Until int64  `json:"until"`
}

// revocationList is the payload of eventRevoked.
type revocationList struct {
	Revoked []revocation `json:"revoked"`
}

// listLength is how many revocations one message has: far below the limit of a backplane.
const listLength = 1000

// sharedRevocations brings revocations to the other processes of a cluster. A message
// that says so can be lost. So a process that joins, or that reaches the others again,
// sends its list and asks for theirs.
type sharedRevocations struct {
	app  *app
	hub  *pubsub.Hub
	sub  *pubsub.Subscription
	wake chan struct{}
	logs logLimit // owned by run

	// mu guards what follows and is a leaf.
	mu    sync.Mutex
	asked []string // processes that want the list
	ended []string // users whose connections here are to be closed
	again bool     // whether others can be asked has changed
}

// shareRevocations makes the part of -cluster; it returns nil without others.
func (a *app) shareRevocations() (*sharedRevocations, error) {
	if a.cluster.hub == nil {
		return nil, nil
	}
	s := &sharedRevocations{app: a, hub: a.cluster.hub, wake: make(chan struct{}, 1)}
	var err error
	s.sub, err = s.hub.Subscribe(topicRevoked, s)
	return s, err
}

// Deliver implements pubsub.Subscriber. It runs on the goroutine of the backplane, so
// that what is to be sent is left to run.
func (s *sharedRevocations) Deliver(m *pubsub.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.Event {
	case eventWhich:
		if !slices.Contains(s.asked, m.Origin()) {
			s.asked = append(s.asked, m.Origin())
		}
	case eventRevoked:
		var list revocationList
		if json.Unmarshal(m.Payload.Data, &list) != nil {
			return false
		}
		for _, r := range list.Revoked {
			if checkUserID(r.User) == nil && s.app.revoked.merge(r.User, time.UnixMilli(r.Until), time.Now()) {
				s.ended = append(s.ended, r.User)
			}
		}
	}
	s.poke()
	return true
}

func (s *sharedRevocations) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tell sends a revocation of this process to the others. They learn of it later if they
// cannot be reached now.
func (s *sharedRevocations) tell(ctx context.Context, user string) error {
	if s == nil {
		return nil
	}
	until, _ := s.app.revoked.end(user)
	_, err := s.hub.BroadcastFrom(ctx, s.sub, topicRevoked, eventRevoked, revocationList{[]revocation{{user, until.UnixMilli()}}})
	return err
}

// run works until ctx is done.
func (s *sharedRevocations) run(ctx context.Context) {
	stop := s.hub.WatchReach(func() {
		s.mu.Lock()
		s.again = true
		s.mu.Unlock()
		s.poke()
	})
	defer stop()
	reached := false
	for {
		s.mu.Lock()
		asked, ended, again := s.asked, s.ended, s.again
		s.asked, s.ended, s.again = nil, nil, false
		s.mu.Unlock()
		for _, user := range ended {
			// Each process closes its own, whenever it learns of the revocation.
			_, err := s.app.endpoint.LocalBroadcast(socketID(user), "disconnect", struct{}{})
			s.complain(err)
		}
		if reach := s.hub.Reach(); again || reach != reached {
			if reached = reach; reach {
				s.complain(s.everything(ctx, ""))
				_, err := s.hub.BroadcastFrom(ctx, s.sub, topicRevoked, eventWhich, struct{}{})
				s.complain(err)
			}
		}
		for _, node := range asked {
			s.complain(s.everything(ctx, node))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// everything sends all revocations to one process, or to all others if node is "".
func (s *sharedRevocations) everything(ctx context.Context, node string) error {
	for part := range slices.Chunk(s.app.revoked.list(time.Now()), listLength) {
		var err error
		if node == "" {
			_, err = s.hub.BroadcastFrom(ctx, s.sub, topicRevoked, eventRevoked, revocationList{part})
		} else {
			_, err = s.hub.Send(ctx, node, topicRevoked, eventRevoked, revocationList{part})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// complain logs why others may not know revocations, or connections may go on. Others
// ask once they are reached.
func (s *sharedRevocations) complain(err error) {
	if err == nil {
		return
	}
	if skipped, ok := s.logs.allow(time.Now()); ok {
		s.app.log.Warn("revocations are not in effect at all processes yet", "error", err, "left_out", skipped)
	}
}
