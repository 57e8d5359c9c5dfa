//go:build linux

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"
	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/pubsub"
)

// room is the members of a node, who get each broadcast one after another.
type room struct {
	members []member
	got     atomic.Int64 // broadcasts that the last member has
	last    atomic.Int64 // when it had the latest one, in nanoseconds of the system's clock
	ends    []func()
}

// member is a subscriber that counts. All of a node are called by one goroutine.
type member struct {
	got  int64
	room *room // of the last member only
}

// take is what a member does with a broadcast.
func (m *member) take() {
	m.got++
	if m.room != nil {
		m.room.last.Store(time.Now().UnixNano())
		m.room.got.Add(1)
	}
}

// Deliver implements pubsub.Subscriber.
func (m *member) Deliver(*pubsub.Message) bool {
	m.take()
	return true
}

// receiver is a member as the bare client's subscriber calls it: through an interface
// too.
type receiver interface{ receive(data []byte) }

func (m *member) receive([]byte) { m.take() }

const (
	roomTopic = "room:1"
	roomEvent = "new_msg"
	bareTopic = "bare.room"
)

// envelopeBytes is what the wire form has besides the payload: versions, kinds, flags,
// the name of the node, the topic and the event with their lengths; with Redis the header
// of the remote as well.
func (n *node) envelopeBytes() int {
	bytes := 1 + 1 + 1 + len(n.name) + 1 + len(roomTopic) + 1 + len(roomEvent) + 1
	if n.redis != nil {
		bytes += 17
	}
	return bytes
}

// opening says which room is opened: the hub's, or that of the bare client.
type opening struct {
	Members int  `json:"members"` // 0: close it
	Bare    bool `json:"bare"`
}

// openRoom replaces the room of this node.
func (n *node) openRoom(ctx context.Context, cfg opening) (none, error) {
	if n.room != nil {
		for _, end := range n.room.ends {
			end()
		}
		n.room = nil
	}
	if cfg.Members == 0 {
		return none{}, n.remote.Sync(ctx)
	}
	r := &room{members: make([]member, cfg.Members)}
	r.members[cfg.Members-1].room = r
	n.room = r
	if cfg.Bare {
		return none{}, n.openBare(ctx, r)
	}
	for i := range r.members {
		s, err := n.hub.Subscribe(roomTopic, &r.members[i])
		if err != nil {
			return none{}, err
		}
		r.ends = append(r.ends, s.Unsubscribe)
	}
	n.hub.Settle(ctx, roomTopic)
	return none{}, nil
}

// bare are the bare clients of this node: one that subscribes and one that publishes.
type bare struct {
	nats  *natsgo.Conn
	redis goredis.UniversalClient
}

// openBare subscribes with the bare client.
func (n *node) openBare(ctx context.Context, r *room) error {
	all := make([]receiver, len(r.members))
	for i := range all {
		all[i] = &r.members[i]
	}
	if n.redis != nil {
		client := goredis.NewUniversalClient(n.redis)
		sub := client.Subscribe(ctx, bareTopic)
		if _, err := sub.Receive(ctx); err != nil {
			return err
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				m, err := sub.ReceiveMessage(context.Background())
				if err != nil {
					return
				}
				data := []byte(m.Payload)
				for _, to := range all {
					to.receive(data)
				}
			}
		}()
		n.bare = &bare{redis: client}
		r.ends = append(r.ends, func() {
			_, _ = sub.Close(), client.Close()
			<-ended
		})
		return nil
	}
	conn, err := n.connectBare()
	if err != nil {
		return err
	}
	if _, err := conn.Subscribe(bareTopic, func(m *natsgo.Msg) {
		for _, to := range all {
			to.receive(m.Data)
		}
	}); err != nil {
		return err
	}
	n.bare = &bare{nats: conn}
	r.ends = append(r.ends, conn.Close)
	return conn.Flush()
}

// broadcasting is what node a is to do.
type broadcasting struct {
	Count int  `json:"count"`
	Bytes int  `json:"bytes"`
	Bare  bool `json:"bare"`
}

// broadcast makes broadcasts, one after another, and returns when it began.
func (n *node) broadcast(ctx context.Context, cfg broadcasting) (begin time.Time, err error) {
	if cfg.Bare {
		return n.broadcastBare(ctx, cfg)
	}
	data := payload(cfg.Bytes)
	begin = time.Now()
	for range cfg.Count {
		if _, err := n.hub.Broadcast(ctx, roomTopic, roomEvent, data); err != nil {
			return begin, err
		}
	}
	return begin, nil
}

// barePipeline is how many messages go-redis sends in one round trip.
const barePipeline = 100

// broadcastBare publishes as many bytes with the bare client.
func (n *node) broadcastBare(ctx context.Context, cfg broadcasting) (begin time.Time, err error) {
	data := make([]byte, cfg.Bytes+n.envelopeBytes())
	begin = time.Now()
	if n.bare.nats != nil {
		for range cfg.Count {
			if err := n.bare.nats.Publish(bareTopic, data); err != nil {
				return begin, err
			}
		}
		return begin, n.bare.nats.Flush()
	}
	for left := cfg.Count; left > 0; left -= barePipeline {
		pipe := n.bare.redis.Pipeline()
		for range min(left, barePipeline) {
			pipe.Publish(ctx, bareTopic, data)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return begin, err
		}
	}
	return begin, nil
}

// awaitRoom waits until the last member has so many broadcasts and returns when.
func (n *node) awaitRoom(ctx context.Context, count int64) (last time.Time, err error) {
	r := n.room
	if err := until(ctx, fmt.Sprintf("%d broadcasts", count), func() bool { return r.got.Load() >= count }); err != nil {
		return last, fmt.Errorf("%w: %d have come", err, r.got.Load())
	}
	return time.Unix(0, r.last.Load()), nil
}

// gotRoom returns how many broadcasts the last member has.
func (n *node) gotRoom(context.Context, none) (int64, error) { return n.room.got.Load(), nil }
