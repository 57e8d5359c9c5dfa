package nats

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-go/penstock/internal/backplane"
)

// syncing is a sync that waits for the writer, or for members at other servers. Their
// reply follows the subscriptions over the same route, so that their server knows these
// by then.
type syncing struct {
	open map[string]bool // instances; nil for the writer
	done chan struct{}   // closed when open is empty
}

// syncPatience is how long a member may take to reply before none waits for it any
// more; a loss is reported once it is heard of again.
const syncPatience = time.Second

// flushPatience bounds the round trip to the server.
const flushPatience = 5 * time.Second

var errConnection = errors.New("nats: connection lost meanwhile")

// sync waits until all earlier calls of Join and Leave are in effect.
func (s *session) sync(ctx context.Context) error {
	link := s.dials.Load()
	if err := s.interest.Wait(ctx); err != nil {
		return err
	}
	select { // at first this node knows no members
	case <-s.greeted:
	case <-s.ended:
		return errConnection
	case <-ctx.Done():
		return ctx.Err()
	}
	limit, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	if err := s.drainOutbox(limit); err != nil {
		return err
	}
	if err := s.conn.FlushWithContext(limit); err != nil {
		return err
	}
	if err := s.syncMembers(limit); err != nil {
		return err
	}
	if s.dials.Load() != link || s.up.Load() != s {
		return errConnection
	}
	return nil
}

// drainOutbox waits until the client has all that was published before.
func (s *session) drainOutbox(ctx context.Context) error {
	y := &syncing{done: make(chan struct{})}
	number := s.openSync(y)
	defer s.closeSync(number)
	s.send("", number, 0, func(dst []byte) []byte { return dst })
	select {
	case <-y.done:
		return nil
	case <-s.ended:
		return errConnection
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drained notes that the writer has come to the mark of a sync.
func (s *session) drained(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if y := s.syncs[number]; y != nil {
		close(y.done)
	}
}

// openSync gives a sync its number.
func (s *session) openSync(y *syncing) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastNum++
	s.syncs[s.lastNum] = y
	return s.lastNum
}

func (s *session) closeSync(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.syncs, number)
}

// syncMembers waits for the replies of members at other servers.
func (s *session) syncMembers(ctx context.Context) error {
	y := &syncing{open: make(map[string]bool), done: make(chan struct{})}
	s.mu.Lock()
	for _, instance := range s.members.Elsewhere(*s.server.Load()) {
		y.open[instance] = true
	}
	s.mu.Unlock()
	if len(y.open) == 0 {
		return nil
	}
	number := s.openSync(y)
	defer s.closeSync(number)
	f := s.frame(backplane.KindSync)
	f.Number = number
	s.tell(s.subjects.all, f)
	timer := time.NewTimer(syncPatience)
	defer timer.Stop()
	select {
	case <-y.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return errConnection
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up.Load() != s {
		return errConnection
	}
	for instance := range y.open {
		s.members.Quiet(instance)
		s.complain(&s.logs.quiet, "a node does not reply: topics count as in effect there without it", "instance", instance)
	}
	return nil
}

// synced notes a reply to a sync, to all syncs if number is 0.
func (s *session) synced(instance string, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, y := range s.syncs {
		if (number == 0 || n == number) && y.open[instance] {
			delete(y.open, instance)
			if len(y.open) == 0 {
				close(y.done)
			}
		}
	}
}
