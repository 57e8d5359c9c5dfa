package websocket

import (
	"net/http"
	"strings"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// LongPollConfig configures long polling, for clients without WebSocket. A
// session lives on the node that began it. Behind a load balancer, all requests
// of one client must reach that node, unless the nodes have a Secret in common.
type LongPollConfig struct {
	// Suffix follows the mount path. Default: "/longpoll", which phoenix.js
	// appends.
	Suffix string
	// Window is how long a GET waits for messages. A client that does not come
	// back within one and a half times Window is gone. At most 1 h. Default: 10 s.
	Window time.Duration
	// Secret is what all nodes of a cluster have in common, 32 bytes or more. With
	// it a request may reach any of them: the token of a session names its node,
	// and is signed with Secret; the request is passed to that node over the
	// endpoint's PubSub, and what that node responds comes back. Endpoints of one
	// node need different paths then. Default: a request must reach the node of
	// its session.
	Secret []byte
}

// minSecret is the least number of bytes of LongPollConfig.Secret.
const minSecret = 32

// maxWindow bounds LongPollConfig.Window, so that one and a half times as much is a
// duration too.
const maxWindow = time.Hour

// validate returns an error for a field that is refused. A nil configuration, which
// turns long polling off, is valid.
func (cfg *LongPollConfig) validate() error {
	if cfg == nil {
		return nil
	}
	return option.First(
		suffixAllowed("LongPoll.Suffix", cfg.Suffix),
		option.Within(mountOwner, "LongPoll.Window", cfg.Window, 0, maxWindow),
		mountOwner.Check(cfg.Secret == nil || len(cfg.Secret) >= minSecret, "LongPoll.Secret", option.Hidden, "32 bytes or more"),
	)
}

// The statuses in the body of a response. The HTTP status is 200 for all of them,
// as phoenix.js expects.
const (
	pollOK        = 200
	pollNothing   = 204
	pollForbidden = 403
	pollTimeout   = 408
	pollGone      = 410 // to a POST: the session is over; to a GET: a new one has begun
	pollLost      = 500 // to a GET: the session is over
)

// maxLines bounds the messages of one POST. Clients split theirs at this number.
const maxLines = 100

// maxPost bounds the body of a POST in bytes, whatever the limit of a message.
const maxPost = 8 << 20

// pollAnswer is the body of a response. Messages is never null, which phoenix.js
// could not iterate over.
type pollAnswer struct {
	Messages []string `json:"messages"`
	Status   int      `json:"status"`
	Token    string   `json:"token,omitempty"`
	Reason   string   `json:"reason,omitempty"` // of a refusal; phoenix.js ignores it
}

// serveLongPoll serves all requests of long polling: preflights, GETs and POSTs. As
// from Phoenix, any origin may read the responses, but only allowed ones get a
// session.
func (m *mount) serveLongPoll(w http.ResponseWriter, r *http.Request, vars map[string]string) {
	h := w.Header()
	// With "*" no browser lets a page of another origin read the response to a
	// request with credentials.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	// A preflight of the browser needs no origin check: it gives nothing away.
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		h.Set("Access-Control-Allow-Methods", "get, post, options")
		h.Set("Access-Control-Max-Age", "3600")
		w.WriteHeader(http.StatusOK)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		m.endpoint.refusals.note(r, refusedMethod, r.Method, nil)
		h.Set("Connection", "close") // a body is not read
		refuse(w, http.StatusBadRequest, "not a GET or POST request")
		return
	}
	// Checked at each request, also when the token names a session.
	if !originAllowed(r, m.cfg.Origin) {
		m.endpoint.refusals.note(r, refusedOrigin, strings.Join(r.Header.Values("Origin"), ", "), nil)
		h.Set("Connection", "close") // a body is not read
		_ = m.answerPoll(w, pollAnswer{Status: pollForbidden, Reason: refusalTexts[refusedOrigin]})
		return
	}
	token := pollToken(r)
	p := m.endpoint.polls.find(token, m)
	if p == nil {
		if node := m.relays.nodeOf(token); node != "" {
			m.relays.pass(w, r, node, token)
			return
		}
	}
	switch {
	case r.Method == http.MethodGet && p == nil && !strings.HasPrefix(token, pollTokenPrefix):
		m.beginPoll(w, r, vars)
	case p == nil:
		m.answerOver(w, r)
	case r.Method == http.MethodGet:
		p.serveGet(w, r)
	default:
		p.servePost(w, r)
	}
}

// answerOver responds to a request whose session is over.
func (m *mount) answerOver(w http.ResponseWriter, r *http.Request) {
	a := pollAnswer{Status: pollLost}
	// To a GET Phoenix begins a new session at once. Phoenix.js up to 1.7 then goes
	// on as if its topics were joined, and its pushes and broadcasts are lost. Told
	// that the server has failed, all versions connect and join again.
	//
	// A POST cannot begin a session: the client must come with a GET. Nothing of
	// its body is read, and nothing more of its connection.
	if r.Method == http.MethodPost {
		a.Status = pollGone
		w.Header().Set("Connection", "close")
	}
	_ = m.answerPoll(w, a) // the client may be gone
}

// beginPoll admits a client as for a WebSocket connection and sends it a token.
func (m *mount) beginPoll(w http.ResponseWriter, r *http.Request, vars map[string]string) {
	e := m.endpoint
	order := e.disconnects.begin()
	defer e.disconnects.end(order)
	a, err := m.admit(r, vars, "longpoll")
	a.order = order
	var p *poll
	if err == nil {
		p, err = e.polls.begin(m, a)
	}
	if err != nil {
		m.refused(r, err)
		_ = m.answerPoll(w, pollAnswer{Status: pollForbidden, Reason: refusalText(err)}) // the client may be gone
		return
	}
	m.connectOK.Add(1)
	_ = m.answerPoll(w, pollAnswer{Status: pollGone, Token: p.token}) // then the session ends by itself
}

// serveGet responds with what waits for the client, or waits until something
// does.
func (p *poll) serveGet(w http.ResponseWriter, r *http.Request) {
	g, ok := p.enter()
	if !ok {
		_ = p.mount.answerPoll(w, pollAnswer{Status: pollLost})
		return
	}
	defer p.exit(g)
	if remote, ok := w.(*relayWriter); ok {
		remote.replaced = g.replaced
	}
	// Window bounds the GET, whether or not a message comes.
	timer := time.NewTimer(p.mount.cfg.LongPoll.Window)
	defer timer.Stop()
	for {
		// What has come between two GETs is sent at once.
		if taken := p.takeAll(); len(taken) > 0 {
			p.answer(w, taken)
			return
		}
		if p.isOver() {
			_ = p.mount.answerPoll(w, pollAnswer{Status: pollLost})
			return
		}
		select {
		// It may be left from items that an earlier GET took: look again.
		case <-p.ready:
			continue
		// A client has one GET at a time: this one gets nothing more.
		case <-g.replaced:
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
		_ = p.mount.answerPoll(w, pollAnswer{Status: pollNothing, Token: p.token}) // nothing is lost
		return
	}
}

// answer responds with the messages and calls their hooks.
func (p *poll) answer(w http.ResponseWriter, taken []*batch) {
	a := pollAnswer{Status: pollOK, Token: p.token}
	// Whether the close frame is among them; it is not sent as a message.
	last := false
	for _, b := range taken {
		for i := range b.n {
			if b.items[i].last {
				last = true
				continue
			}
			message, _ := body(b.items[i].wire)
			a.Messages = append(a.Messages, string(message))
		}
	}
	// Messages before the close frame are sent first: the next GET learns of
	// the end.
	if last && len(a.Messages) == 0 {
		a = pollAnswer{Status: pollLost}
	}
	err := p.mount.answerPoll(w, a)
	p.report(taken, err)
	// After an error the client lacks messages: it learns that by a new session.
	if last || err != nil {
		p.finish(ErrClosed)
	}
}

// report calls the hooks of batches that were answered, or why they were not. Should a hook
// end this goroutine with runtime.Goexit, another one goes on with the batches behind it.
func (p *poll) report(taken []*batch, err error) {
	i := 0
	defer func() {
		if i < len(taken) {
			p.endpoint().spawn(func() { p.report(taken[i+1:], err) })
		}
	}()
	for ; i < len(taken); i++ {
		p.wrote(taken[i], err)
		batches.Put(taken[i])
	}
}
