package pubsub

import (
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/complain"
)

// Snapshot is the state of a hub at one moment. Counters begin with the hub.
type Snapshot struct {
	// Node is the name of this node.
	Node string `json:"node"`
	// Running is set while Run joins this node to the others.
	Running bool `json:"running"`
	// Reach is set while the other nodes can be asked.
	Reach bool `json:"reach"`
	// Topics have a subscription on this node.
	Topics int `json:"topics"`
	// Published and NotPublished are messages that the remote has taken and
	// refused, without answers to deliveries. NoNode are those of Published that
	// were for a node that is not there.
	Published    int64 `json:"published"`
	NotPublished int64 `json:"not_published"`
	NoNode       int64 `json:"no_node"`
	// Received are messages of other nodes. Malformed could not be decoded, Versions
	// were of a version of the protocol that this node does not know, Own carried
	// the name of this node, Refused were refused by the history; all four were
	// dropped.
	Received  int64 `json:"received"`
	Malformed int64 `json:"malformed"`
	Versions  int64 `json:"versions"`
	Own       int64 `json:"own"`
	Refused   int64 `json:"refused"`
	// Crashed are messages of other nodes over which a subscriber panicked.
	Crashed int64 `json:"crashed"`
	// Late are deliveries of other nodes that seemed late, so that this node asked their
	// origin before it offered them.
	Late int64 `json:"late"`
	// Lost counts the occasions on which messages of other nodes may have been
	// missed, the start of each Run among them.
	Lost int64 `json:"lost"`
	// Pending deliveries wait for other nodes. Unanswered have ended at their
	// deadline.
	Pending    int   `json:"pending"`
	Unanswered int64 `json:"unanswered"`
	// Asked are deliveries about which the other nodes were asked again.
	Asked int64 `json:"asked"`
	// AnswersSent went to the origins of deliveries, AnswersDropped could not be
	// sent. AnswersLate came for deliveries that had ended, mostly because
	// another node was first, or came twice.
	AnswersSent    int64 `json:"answers_sent"`
	AnswersDropped int64 `json:"answers_dropped"`
	AnswersLate    int64 `json:"answers_late"`
}

type counters struct {
	published, notPublished, noNode, received, malformed, versions, own, refused, crashed, late, lost atomic.Int64
	unanswered, asked, answersSent, answersDropped, answersLate                                       atomic.Int64
}

// logs bounds the warnings, by kind.
type logs struct{ idle, noNode, versions, publish, answers, malformed, own, refused, crashed, unanswered, sync complain.Limit }

// Snapshot returns the state of the hub. It may be called at any time.
func (h *Hub) Snapshot() Snapshot {
	c := &h.counters
	return Snapshot{
		Node: h.node, Running: h.running.Load(), Reach: h.Reach(), Topics: h.Topics(),
		Published: c.published.Load(), NotPublished: c.notPublished.Load(), NoNode: c.noNode.Load(),
		Received: c.received.Load(), Malformed: c.malformed.Load(), Versions: c.versions.Load(), Own: c.own.Load(), Refused: c.refused.Load(), Crashed: c.crashed.Load(), Late: c.late.Load(),
		Lost: c.lost.Load(), Pending: h.pending.count(), Unanswered: c.unanswered.Load(), Asked: c.asked.Load(),
		AnswersSent: c.answersSent.Load(), AnswersDropped: c.answersDropped.Load(), AnswersLate: c.answersLate.Load(),
	}
}
