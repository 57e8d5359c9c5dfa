package main

import (
	"errors"
	"math"
	"sync"
)

// The reasons for which pushes find no room. errNever is for more pushes than there
// could ever be room for; after the others the caller can try again.
var (
	errFull    = errors.New("the queue is full")
	errKeyFull = errors.New("too many pushes of this user wait already")
	// errShareFull is for a producer that has taken up as much as it leaves to the others.
	errShareFull = errors.New("too many pushes of this producer wait already")
	errNever     = errors.New("more pushes than can ever be taken in at once")
)

// roomLimits bound the pushes that are held at once.
type roomLimits struct {
	pushes int
	bytes  int64 // as push.size counts
	// Of one user; noLimit for none.
	userPushes int
	userBytes  int64
}

// noLimit turns a bound of roomLimits off.
const noLimit = math.MaxInt

// room counts the pushes that were taken in and have not ended. With bounds for one
// user a flood fills its own part only, and so does that of a producer, who may have
// as much as is free: one alone gets half of it. Any goroutine may use it; mu guards all
// fields but limits, which never change.
type room struct {
	limits roomLimits
	mu     sync.Mutex
	used   usage
	users  map[string]usage // only users with pushes
	by     map[string]usage // only named producers with pushes
}

// usage is how much room pushes take up.
type usage struct {
	pushes int
	bytes  int64
}

// plus is the sum of both.
func (u usage) plus(v usage) usage { return usage{u.pushes + v.pushes, u.bytes + v.bytes} }

// exceeds reports whether there are more pushes or more bytes than in bound.
func (u usage) exceeds(bound usage) bool { return u.pushes > bound.pushes || u.bytes > bound.bytes }

// newRoom returns an empty room.
func newRoom(limits roomLimits) *room {
	return &room{limits: limits, users: make(map[string]usage), by: make(map[string]usage)}
}

// take makes room for all of pushes, which are those of one producer, or for none of
// them and returns why.
func (r *room) take(pushes []push) error {
	if len(pushes) == 1 && pushes[0].By == "" {
		return r.takeOne(pushes[0])
	}
	var all usage
	each := make(map[string]usage, 1)
	for _, p := range pushes {
		size := int64(p.size())
		all = all.plus(usage{1, size})
		each[p.User] = each[p.User].plus(usage{1, size})
	}
	total, user := usage{r.limits.pushes, r.limits.bytes}, usage{r.limits.userPushes, r.limits.userBytes}
	r.mu.Lock()
	defer r.mu.Unlock()
	// First what no waiting can change, so that the caller does not try again in vain.
	if all.exceeds(total) {
		return errNever
	}
	for _, u := range each {
		if u.exceeds(user) {
			return errNever
		}
	}
	if r.used.plus(all).exceeds(total) {
		return errFull
	}
	for id, u := range each {
		if r.users[id].plus(u).exceeds(user) {
			return errKeyFull
		}
	}
	by := ""
	if len(pushes) > 0 {
		by = pushes[0].By
	}
	if by != "" && r.by[by].plus(all).plus(r.used).exceeds(total) {
		return errShareFull
	}
	r.used = r.used.plus(all)
	if by != "" {
		r.by[by] = r.by[by].plus(all)
	}
	for id, u := range each {
		r.users[id] = r.users[id].plus(u)
	}
	return nil
}

// takeOne is take for one push of no named producer, as those of the load are.
func (r *room) takeOne(p push) error {
	one := usage{1, int64(p.size())}
	total, user := usage{r.limits.pushes, r.limits.bytes}, usage{r.limits.userPushes, r.limits.userBytes}
	if one.exceeds(total) || one.exceeds(user) {
		return errNever
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used.plus(one).exceeds(total) {
		return errFull
	}
	held := r.users[p.User].plus(one)
	if held.exceeds(user) {
		return errKeyFull
	}
	r.used = r.used.plus(one)
	r.users[p.User] = held
	return nil
}

// free gives back the room of a push that has ended.
func (r *room) free(p push) {
	gone := usage{-1, -int64(p.size())}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = r.used.plus(gone)
	if p.By != "" {
		if r.by[p.By] = r.by[p.By].plus(gone); r.by[p.By].pushes == 0 {
			delete(r.by, p.By)
		}
	}
	if left := r.users[p.User].plus(gone); left.pushes > 0 {
		r.users[p.User] = left
	} else {
		delete(r.users, p.User)
	}
}

// held returns what is in the room.
func (r *room) held() usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}
