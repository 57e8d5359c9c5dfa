package main

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// maxRevoked bounds the users whose tokens are revoked at one time.
const maxRevoked = 100_000

// errRevoked refuses a token that was given before its user's tokens were revoked.
var errRevoked = errors.New("revoked")

// revocations knows the users whose tokens do not count any more. A token that is given
// later does. Any goroutine may use it.
type revocations struct {
	age time.Duration // -token-age, the longest that a token is valid
	mu  sync.Mutex
	// By user, guarded by mu: tokens that end then or earlier are revoked. After that
	// time there are none. A token that another program signs must not come from a clock
	// that is ahead of this one: it would seem to be given later.
	until map[string]time.Time
}

// newRevocations returns revocations of no token.
func newRevocations(age time.Duration) *revocations {
	return &revocations{age: age, until: make(map[string]time.Time)}
}

// revoke ends all tokens of a user that were given until now. It reports whether there
// was room to remember that.
func (r *revocations) revoke(user string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set(user, now.Add(r.age), now)
}

// set notes an end. It reports whether there was room for it. The mutex is held.
func (r *revocations) set(user string, end, now time.Time) bool {
	if len(r.until) >= maxRevoked {
		for id, end := range r.until {
			if end.Before(now) {
				delete(r.until, id)
			}
		}
	}
	if _, known := r.until[user]; !known && len(r.until) >= maxRevoked {
		return false
	}
	r.until[user] = end
	return true
}

// merge notes a revocation of another process, as ends are known there. It reports
// whether it is new here.
func (r *revocations) merge(user string, end, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if end.Before(now) || !end.After(r.until[user]) {
		return false
	}
	return r.set(user, end, now)
}

// end returns until when tokens of a user are revoked.
func (r *revocations) end(user string) (end time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	end, ok = r.until[user]
	return end, ok
}

// list returns all that still count.
func (r *revocations) list(now time.Time) (all []revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, end := range r.until {
		if !end.Before(now) {
			all = append(all, revocation{id, end.UnixMilli()})
		}
	}
	return all
}

// check returns an error for a user whose token is revoked.
func (r *revocations) check(u user) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if end, ok := r.until[u.id]; ok && !u.ends.After(end) {
		return errRevoked
	}
	return nil
}

// authenticate returns the user that a socket token names, unless the token is revoked.
func (a *app) authenticate(tok string) (user, error) {
	u, err := identify(a.tokens, tok)
	if err == nil {
		err = a.revoked.check(u)
	}
	if err != nil {
		return user{}, err
	}
	return u, nil
}

// revokeTokens serves POST /debug/revoke?user=ID: the tokens that the user has are
// refused from now on, and the connections made with them end.
func (a *app) revokeTokens(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("user")
	if err := checkUserID(id); err != nil {
		answerError(w, http.StatusBadRequest, "user "+err.Error())
		return
	}
	// First, so that the client cannot come back with the same token.
	if !a.revoked.revoke(id, time.Now()) {
		answerError(w, http.StatusServiceUnavailable, "too many tokens are revoked already")
		return
	}
	// Before the connections end, so that their clients are refused at other processes too.
	told := a.shared.tell(r.Context(), id)
	n, err := a.endpoint.Disconnect(r.Context(), socketID(id))
	var remote *pubsub.RemoteError
	switch err = errors.Join(told, err); {
	case errors.As(err, &remote):
		// Other processes ask once they are reached, and close connections then.
		a.log.Warn("revoked here; other processes are not reached yet", "user", id, "error", err)
	case err != nil:
		answerError(w, http.StatusInternalServerError, "revoked, but the connections may go on: "+err.Error())
		return
	}
	a.log.Info("tokens revoked", "user", id, "connections", n)
	answer(w, http.StatusOK, map[string]any{"revoked": id, "connections": n, "others_reached": err == nil})
}

// socketID returns what all connections of a user are known by.
func socketID(user string) string { return "users_socket:" + user }
