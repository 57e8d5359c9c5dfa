package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/penstock-go/penstock/internal/backplane"
	"github.com/penstock-go/penstock/pubsub"
)

// session is one Run. Three goroutines share it:
//
//	client ──▶ arrived ──pump──▶ inbox ──receive──▶ pubsub.Receiver
//	Publish, receive ──▶ outbox ──write──▶ client
//
// The pump is always quick, so that what is dropped is dropped by the inbox, which
// knows between which messages. The writer alone calls the client, whose calls may
// block while the server takes nothing.
type session struct {
	*Remote
	in      pubsub.Receiver
	self    backplane.Frame // without Server, Beat and Link
	none    string          // subject, with a dot, of the server's word that a subject has no subscriber
	arrived chan *natsgo.Msg
	inbox   *backplane.Inbox[*natsgo.Msg]
	outbox  *backplane.Outbox
	wake    chan struct{} // of the writer
	ended   chan struct{} // closed when the session ends
	closed  chan struct{} // closed when the client is
	failed  chan error    // the first error that ends the session
	conn    *natsgo.Conn  // set before the writer starts
	dials   atomic.Int64  // connections so far
	limit   atomic.Int64  // bytes of a message
	beats   atomic.Uint64 // sent to all
	links   atomic.Uint64 // how often messages of this node may have been lost
	server  atomic.Pointer[string]

	dialing dialing
	greeted chan struct{} // closed when members have had time to reply to the first beat
	claimed atomic.Bool   // no other node has the name
	joined  atomic.Bool

	// mu guards what follows and is a leaf.
	mu      sync.Mutex
	members *backplane.Members
	syncs   map[uint64]*syncing
	lastNum uint64
}

// arrivals is how many messages the client may be ahead of the pump.
const arrivals = 1 << 16

func newSession(r *Remote, in pubsub.Receiver) *session {
	s := &session{
		Remote: r, in: in, self: backplane.Frame{Node: r.cfg.Node, Instance: rand.Text(), Started: time.Now()},
		arrived: make(chan *natsgo.Msg, arrivals), inbox: backplane.NewInbox[*natsgo.Msg](r.cfg.InboxBytes), outbox: backplane.NewOutbox(r.cfg.OutboxBytes),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), greeted: make(chan struct{}), closed: make(chan struct{}), failed: make(chan error, 1),
		syncs: make(map[uint64]*syncing),
	}
	s.members = backplane.NewMembers(s.self, r.cfg.DownAfter)
	s.server.Store(new(string))
	return s
}

// run connects and works until ctx is done or the session has failed.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	group.Go(s.pump)
	group.Go(s.receive)
	defer func() {
		close(s.ended)
		group.Wait()
	}()
	conn, err := s.options(ctx).Connect()
	if _, ok := errors.AsType[*url.Error](err); ok {
		// Its text quotes what it cannot parse, which may be a part of a password.
		err = errors.New("Config.URL is not the URL of a server, nats://user:password@host:port")
	}
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	s.conn = conn
	s.none = conn.NewInbox() + "."
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		s.write(ctx)
	}()
	s.poke()
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	s.setUp(s, false)
	cancel()
	// The writer may stand in a call of the client, which Close ends.
	patience := time.AfterFunc(byePatience, conn.Close)
	<-writer
	patience.Stop()
	conn.Close()
	<-s.closed
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

// directID marks a message to one node: if that is not there, the server's word is
// counted. Deliveries have other numbers, since they begin at a random one.
const directID = 1

// send queues a message. It returns the size of one of more than limit bytes, which is
// refused, and 0 otherwise.
func (s *session) send(subject string, id uint64, limit int, encode func([]byte) []byte) (tooLarge int) {
	tooLarge, first, dropped := s.outbox.Add(subject, id, limit, encode)
	if first {
		s.poke()
	}
	if dropped > 0 {
		s.links.Add(1)
		s.meters.droppedOut.Add(int64(dropped))
		s.complain(&s.logs.outbox, "messages to other nodes dropped: the server takes nothing", "messages", dropped)
	}
	return tooLarge
}

// frame is a frame of this node.
func (s *session) frame(kind byte) backplane.Frame {
	f := s.self
	f.Kind, f.Server, f.Beat, f.Link = kind, *s.server.Load(), s.beats.Load(), s.links.Load()
	return f
}

// tell queues a frame.
func (s *session) tell(subject string, f backplane.Frame) {
	s.send(subject, 0, frameLimit, f.Append)
}

// frameLimit is more than a frame can have.
const frameLimit = 1 << 16

// reply is the subject at which the server says that a subject has no subscriber.
func (s *session) reply(id uint64) string {
	if id == 0 {
		return ""
	}
	return s.none + strconv.FormatUint(id, 36)
}
