package dashboard

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/crash"
)

const (
	// pageLetters is how many letters a page has, and maxPage how many it may have.
	pageLetters, maxPage = 50, 200
	// playTime bounds playing back what one request names.
	playTime = 30 * time.Second
	// maxPlayed bounds the letters that are remembered as played back.
	maxPlayed = 100_000
)

// page is the response to a request for letters: the newest first.
type page struct {
	Letters []entry `json:"letters"`
	// LeftOff is how many others there are.
	LeftOff int64 `json:"left_off"`
}

// lettersOf returns the dead letters of the part that a request names.
func (d *Dashboard) lettersOf(id string) (*letters, error) {
	p, err := d.part(id)
	if err != nil {
		return nil, err
	}
	if p.letters == nil {
		return nil, refuse(http.StatusNotFound, "part %q has no dead letters", id)
	}
	return p.letters, nil
}

// number returns a number of the query, or what it is without one.
func number(r *http.Request, name string, without, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, refuse(http.StatusBadRequest, "%s must be 0 to %d", name, most)
	}
	return n, nil
}

// serveLetters replies with a page of letters.
func (d *Dashboard) serveLetters(w http.ResponseWriter, r *http.Request) {
	l, err := d.lettersOf(r.URL.Query().Get("part"))
	if err != nil {
		deny(w, err)
		return
	}
	skip, err := number(r, "offset", 0, maxRead)
	if err != nil {
		deny(w, err)
		return
	}
	limit, err := number(r, "limit", pageLetters, maxPage)
	if err != nil {
		deny(w, err)
		return
	}
	p, err := l.page(r.Context(), skip, limit)
	if err != nil {
		deny(w, err)
		return
	}
	reply(w, http.StatusOK, p)
}

// busy is the error of a second request for letters at one time.
func busy() error {
	return refuse(http.StatusServiceUnavailable, "another request reads or plays back these letters")
}

// page returns the newest letters, without some.
func (l *letters) page(ctx context.Context, skip, limit int) (p page, err error) {
	if !l.mu.TryLock() {
		return p, busy()
	}
	defer l.mu.Unlock()
	defer crash.Catch(&err) // the functions are the program's
	// A ring of as many as are wanted, since the newest come last.
	ring, n := make([]deadletter.Letter, 0, min(skip+limit, maxPage)), 0
	err = l.store.newest(ctx, func(at deadletter.Letter) bool {
		if len(ring) < skip+limit {
			ring = append(ring, at)
		} else if len(ring) > 0 {
			ring[n%len(ring)] = at
		}
		n++
		return true
	})
	if err != nil {
		return p, err
	}
	p.Letters = []entry{}
	for i := n - 1 - skip; i >= 0 && len(p.Letters) < limit; i-- {
		at := ring[i%len(ring)]
		p.Letters = append(p.Letters, l.shown(at, identify(&at)))
	}
	p.LeftOff = max(int64(n), l.stored.Load()) - int64(len(p.Letters))
	return p, nil
}

// replay is the body of a request to play letters back.
type replay struct {
	Part string   `json:"part"`
	IDs  []string `json:"ids"`
}

// replayed is the response: how many were played back, and how many were left out since
// they were played back before.
type replayed struct {
	Played  int    `json:"played"`
	Skipped int    `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`
}

// servePlay plays letters back.
func (d *Dashboard) servePlay(w http.ResponseWriter, r *http.Request) {
	var c replay
	if !d.admit(w, r, &c) {
		return
	}
	defer d.exit()
	l, err := d.lettersOf(c.Part)
	var done replayed
	if err == nil {
		done, err = l.play(r.Context(), c.IDs)
	}
	attrs := []any{"remote", r.RemoteAddr, "part", c.Part, "letters", len(c.IDs), "played", done.Played, "skipped", done.Skipped}
	if err != nil {
		d.cfg.Logger.Warn("dashboard: playing dead letters back has failed", append(attrs, "error", err)...)
		done.Error = err.Error()
		reply(w, statusOf(err), done)
		return
	}
	d.cfg.Logger.Info("dashboard: dead letters were played back", attrs...)
	reply(w, http.StatusOK, done)
}

// play plays the letters of ids back in the order in which they are stored, and stops at
// the first error.
func (l *letters) play(ctx context.Context, ids []string) (done replayed, err error) {
	switch {
	case l.cfg.Play == nil:
		return done, refuse(http.StatusConflict, "these letters cannot be played back")
	case len(ids) == 0 || len(ids) > maxPage:
		return done, refuse(http.StatusBadRequest, "ids must be 1 to %d", maxPage)
	case !l.mu.TryLock():
		return done, busy()
	}
	defer l.mu.Unlock()
	defer crash.Catch(&err)
	ctx, cancel := context.WithTimeout(ctx, playTime)
	defer cancel()
	wanted := slices.Clone(ids)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	var found []entry
	err = l.store.newest(ctx, func(at deadletter.Letter) bool {
		id := identify(&at)
		if i, ok := slices.BinarySearch(wanted, id); ok {
			wanted = slices.Delete(wanted, i, i+1)
			found = append(found, entry{ID: id, Letter: at})
		}
		return len(wanted) > 0
	})
	if err != nil {
		return done, err
	}
	for _, e := range found {
		if l.played[e.ID] {
			done.Skipped++
			continue
		}
		if len(l.played) >= maxPlayed {
			return done, refuse(http.StatusConflict, "%d letters were played back since the start: no more are remembered", maxPlayed)
		}
		if err := l.cfg.Play(ctx, e.Letter); err != nil {
			return done, err
		}
		l.played[e.ID] = true
		done.Played++
	}
	if len(wanted) > 0 {
		return done, refuse(http.StatusNotFound, "%d of the letters are not among those that can be read", len(wanted))
	}
	return done, nil
}
