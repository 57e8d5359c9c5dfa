package nats

import (
	"errors"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/penstock-go/penstock/internal/backplane"
	"github.com/penstock-go/penstock/pubsub"
)

// envelope is about what a message takes besides its bytes.
const envelope = 256

// pump moves what the client has received to the inbox.
func (s *session) pump() {
	for {
		select {
		case <-s.ended:
			return
		case m := <-s.arrived:
			if m == lost {
				s.inbox.Lose()
				continue
			}
			if !s.inbox.Add(m, len(m.Data)+len(m.Subject)+envelope) {
				s.meters.droppedIn.Add(1)
				s.complain(&s.logs.inbox, "messages of other nodes dropped: this node is too slow")
			}
		}
	}
}

// receive handles what is in the inbox, in order.
func (s *session) receive() {
	var list []backplane.Arrival[*natsgo.Msg]
	for {
		select {
		case <-s.ended:
			return
		case <-s.inbox.Wake():
		}
		for list = s.inbox.Take(list); len(list) > 0; list = s.inbox.Take(list) {
			for _, a := range list {
				select {
				case <-s.ended:
					return
				default:
				}
				if a.Lost {
					s.cutOff()
					s.lose("this node was cut off or too slow")
					continue
				}
				s.handle(a.Message)
			}
		}
	}
}

// lose reports a loss to the hub.
func (s *session) lose(why string, attrs ...any) {
	s.counters.lost.Add(1)
	s.meters.lost.Add(1)
	s.complain(&s.logs.lost, "messages of other nodes may be lost: "+why, attrs...)
	s.in.Lost("")
}

// handle passes on a message of a hub and takes the others.
func (s *session) handle(m *natsgo.Msg) {
	switch {
	case strings.HasPrefix(m.Subject, s.subjects.topics), strings.HasPrefix(m.Subject, s.subjects.nodes):
		s.counters.received.Add(1)
		s.in.Receive(m.Data)
	case strings.HasPrefix(m.Subject, s.none):
		s.handleNone(m)
	default:
		f, err := backplane.ReadFrame(m.Data)
		switch {
		case errors.Is(err, backplane.ErrVersion):
			s.counters.versions.Add(1)
			s.complain(&s.logs.versions, "frame of another node dropped: this node does not know its version")
		case err != nil:
			s.counters.malformed.Add(1)
			s.complain(&s.logs.malformed, "frame of another node dropped", "error", err)
		default:
			s.handleFrame(f)
		}
	}
}

// handleNone takes the server's word that there is no subscriber where a message
// went.
func (s *session) handleNone(m *natsgo.Msg) {
	id, err := strconv.ParseUint(m.Subject[len(s.none):], 36, 64)
	if err != nil || len(m.Data) > 0 || m.Header.Get("Status") != "503" {
		s.counters.malformed.Add(1) // any client of the server could send it
		return
	}
	switch id {
	case claimID:
		s.claimed.Store(true)
		s.poke()
	case directID:
		s.counters.noNode.Add(1)
		s.complain(&s.logs.noNode, "message for a node that is not there", "subject", m.Header.Get("Nats-Subject"))
	default:
		if in, ok := s.in.(pubsub.CountReceiver); ok {
			in.Counted(id, 0)
		}
	}
}

// handleFrame takes a frame of another node.
func (s *session) handleFrame(f backplane.Frame) {
	switch f.Kind {
	case backplane.KindBeat:
		s.handleBeat(f)
	case backplane.KindBye:
		s.mu.Lock()
		left := s.members.Bye(f)
		s.mu.Unlock()
		if left {
			s.showMembers("nats: node has left", f.Node)
			s.followReach()
			s.synced(f.Instance, 0)
			if in, ok := s.in.(pubsub.LeaveReceiver); ok {
				in.Left(f.Node)
			}
		}
	case backplane.KindClaim:
		s.handleClaim(f)
	case backplane.KindTaken:
		s.mu.Lock()
		fenced := s.members.Taken(f)
		s.mu.Unlock()
		if joined := s.joined.Load(); fenced || !joined {
			s.fail(&NameError{Node: s.cfg.Node, Fenced: joined})
		}
	case backplane.KindSync:
		reply := s.frame(backplane.KindSynced)
		reply.Number = f.Number
		s.tell(s.subjects.process(f.Instance), reply)
	case backplane.KindSynced:
		s.synced(f.Instance, f.Number)
	default:
		s.counters.unknown.Add(1) // of a later release
	}
}

// handleBeat follows another node.
func (s *session) handleBeat(f backplane.Frame) {
	s.mu.Lock()
	v := s.members.Beat(f, time.Now())
	s.mu.Unlock()
	s.followReach()
	switch {
	case v.Fenced:
		s.fail(&NameError{Node: s.cfg.Node, Fenced: true})
	case v.Rival:
		s.tell(s.subjects.process(f.Instance), s.frame(backplane.KindTaken))
	case v.New:
		s.showMembers("nats: node has joined", f.Node)
		s.tell(s.subjects.process(f.Instance), s.frame(backplane.KindBeat))
	}
	switch {
	case v.Joining: // the hub counts on nothing before its beginning
		s.counters.lost.Add(1)
		s.in.Lost("")
	case v.Lost:
		s.lose("a node was cut off, or has been here for longer than this one knew", "node", f.Node)
	}
}

// cutOff notes that this node was cut off: it knows nothing of the others until it hears
// of them again.
func (s *session) cutOff() {
	s.mu.Lock()
	s.members.CutOff(time.Now())
	s.mu.Unlock()
	s.followReach()
}

// followReach notes whether a node is missing, and tells the hub of a change of reach.
func (s *session) followReach() {
	s.mu.Lock()
	s.missing.Store(s.members.Missing(time.Now(), backplane.Silence(s.cfg.Beat, s.cfg.DownAfter)))
	s.mu.Unlock()
	s.Remote.mu.Lock()
	reach := s.Reach()
	changed := s.reach != reach
	s.reach = reach
	s.Remote.mu.Unlock()
	if in, ok := s.in.(pubsub.ReachReceiver); ok && changed {
		in.ReachChanged()
	}
}

// handleClaim refuses the name of this node to another process. Of two that claim it at
// once the first one has it.
func (s *session) handleClaim(f backplane.Frame) {
	if f.Node != s.cfg.Node || f.Instance == s.self.Instance {
		return
	}
	earlier := f.Started.Before(s.self.Started) || f.Started.Equal(s.self.Started) && f.Instance < s.self.Instance
	if !s.joined.Load() && earlier {
		s.fail(&NameError{Node: s.cfg.Node})
		return
	}
	s.tell(s.subjects.process(f.Instance), s.frame(backplane.KindTaken))
}

// expireMembers removes nodes that are silent, unless it is this one that hears none.
func (s *session) expireMembers() {
	if s.up.Load() != s {
		return
	}
	s.mu.Lock()
	down := s.members.Tick(time.Now())
	s.mu.Unlock()
	s.followReach()
	for _, name := range down {
		s.showMembers("nats: node is silent", name)
	}
}

// showMembers logs and records that a node has come or gone.
func (s *session) showMembers(message, node string) {
	s.mu.Lock()
	n := len(s.members.Names())
	s.mu.Unlock()
	s.meters.nodes.Set(float64(n))
	s.cfg.Logger.Info(message, "node", node, "others", n)
}
