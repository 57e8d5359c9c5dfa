package redis

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/backplane"
	"github.com/penstock-go/penstock/pubsub"
)

// session is one Run. Three goroutines share it, the reader being that of a [link]:
//
//	Redis ──read──▶ inbox ──receive──▶ pubsub.Receiver
//	Publish, receive ──▶ outbox ──write──▶ Redis
//
// The reader is always quick, so that what is dropped is dropped by the inbox, which
// knows between which messages, and not by Redis.
type session struct {
	*Remote
	in      pubsub.Receiver
	self    backplane.Frame // without Beat and Link
	sender  uint64          // marks the messages of this session
	options *goredis.UniversalOptions
	inbox   *backplane.Inbox[message]
	outbox  *backplane.Outbox
	wake    chan struct{} // of the writer
	ended   chan struct{} // closed when the session ends
	failed  chan error    // the first error that ends the session
	beats   atomic.Uint64 // sent to all
	links   atomic.Uint64 // how often messages of this node may have been lost
	// patience ends soon after the context of Run, and all connections with it.
	patience context.Context
	end      context.CancelFunc

	seq      uint64          // of the message sent last; the writer's
	block    backplane.Block // taken from the outbox, of which next is the first that was not sent; the writer's
	next     int
	greeted  chan struct{} // closed when members have had time to reply to the first beat
	greets   *time.Timer   // the writer's
	claimed  atomic.Bool   // no other node has the name
	joined   atomic.Bool
	attempts int // failures in a row; the writer's

	// mu guards what follows and is a leaf.
	mu      sync.Mutex
	members *backplane.Members
	syncs   map[uint64]chan struct{}
	lastNum uint64
}

func newSession(r *Remote, in pubsub.Receiver) *session {
	s := &session{
		Remote: r, in: in, self: backplane.Frame{Node: r.cfg.Node, Instance: rand.Text(), Started: time.Now()},
		inbox: backplane.NewInbox[message](r.cfg.InboxBytes), outbox: backplane.NewOutbox(r.cfg.OutboxBytes),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), greeted: make(chan struct{}), failed: make(chan error, 1),
		syncs: make(map[uint64]chan struct{}),
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	s.sender = binary.BigEndian.Uint64(id[:])
	s.members = backplane.NewMembers(s.self, r.cfg.DownAfter)
	return s
}

// run connects and works until ctx is done or the session has failed.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.patience, s.end = context.WithCancel(context.WithoutCancel(ctx))
	defer s.end()
	s.options = s.clientOptions()
	var group sync.WaitGroup
	group.Go(s.receive)
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		s.write(ctx)
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	s.setUp(s, false)
	cancel()
	bye := time.AfterFunc(byePatience, s.end)
	<-writer
	bye.Stop()
	close(s.ended)
	group.Wait()
	return err
}

// byePatience is how long the end may wait for a server that takes nothing.
const byePatience = time.Second

// fail ends the session with an error.
func (s *session) fail(err error) {
	select {
	case s.failed <- err:
	default: // it ends already
	}
}

// poke wakes the writer.
func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// directID marks a message to one node: if that is not there, this is counted.
// Deliveries have other numbers, since they begin at a random one.
const directID = 1

// send queues a message. It returns the size of one of more than limit bytes, which is
// refused, and 0 otherwise.
func (s *session) send(channel string, id uint64, limit int, encode func([]byte) []byte) (tooLarge int) {
	tooLarge, first, dropped := s.outbox.Add(channel, id, limit+headerSize, func(dst []byte) []byte {
		return encode(append(dst, blank[:]...))
	})
	if first {
		s.poke()
	}
	if dropped > 0 {
		s.links.Add(1)
		s.meters.droppedOut.Add(int64(dropped))
		s.complain(&s.logs.outbox, "messages to other nodes dropped: the server takes nothing", "messages", dropped)
	}
	return max(tooLarge-headerSize, 0)
}

// frame is a frame of this node.
func (s *session) frame(kind byte) backplane.Frame {
	f := s.self
	f.Kind, f.Beat, f.Link = kind, s.beats.Load(), s.links.Load()
	return f
}

// tell queues a frame.
func (s *session) tell(channel string, f backplane.Frame) {
	s.send(channel, 0, frameLimit, f.Append)
}

// frameLimit is more than a frame can have.
const frameLimit = 1 << 16
