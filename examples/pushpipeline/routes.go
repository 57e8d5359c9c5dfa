package main

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"time"
)

//go:embed web
var web embed.FS

// contentPolicy lets the page load and talk to nothing but this program. host is the
// request's, which was checked: browsers differ in whether 'self' includes WebSockets.
func contentPolicy(host string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self' ws://" + host + " wss://" + host + "; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// routes are what clients and browsers reach.
func (a *app) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/socket/", a.endpoint)
	if a.cfg.PushAddr == "" {
		mux.Handle("/push", a.pushHandler())
	}
	if a.cfg.Demo {
		a.demoRoutes(mux)
	}
	return a.cfg.checked(mux, a.probes(), a.listener.Addr().String())
}

// probes are what an orchestrator asks.
func (a *app) probes() http.Handler {
	mux := http.NewServeMux()
	// Alive, also while it drains; readyz is what a load balancer asks.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]bool{"ok": true}) })
	mux.HandleFunc("GET /readyz", a.readiness)
	return mux
}

// demoRoutes are the page and what it asks for: figures, and a token for every user
// that is asked for.
func (a *app) demoRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/stats", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		answer(w, http.StatusOK, a.status(ctx))
	})
	mux.HandleFunc("GET /api/token", a.giveToken)
	mux.HandleFunc("GET /api/nap", nap)
	files, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the name is a constant
	}
	page := http.FileServerFS(files)
	// Everything else is a file of the page, or 404.
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			answerError(w, http.StatusMethodNotAllowed, "use GET")
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy(r.Host))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		// Together these let the page share memory with its worker.
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		h.Set("Cache-Control", "no-cache")
		page.ServeHTTP(w, r)
	})
}

// pushHandler is POST /push. A page of another origin cannot post: the browser's
// Sec-Fetch-Site or Origin gives it away.
func (a *app) pushHandler() http.Handler { return http.NewCrossOriginProtection().Handler(a.intake) }

// pushRoutes are what producers reach with -push-addr.
func (a *app) pushRoutes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/push", a.pushHandler())
	return a.cfg.checked(mux, a.probes(), a.pushListener.Addr().String())
}

// readiness serves GET /readyz: whether pushes can be taken in, and why not.
func (a *app) readiness(w http.ResponseWriter, _ *http.Request) {
	if err := a.notReady(); err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reason": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"ready": true})
}

// notReady returns why nothing can be taken in, or nil. It names no address, as
// anyone may read it.
func (a *app) notReady() error {
	if a.phase.Load() == draining {
		return errors.New("the program is ending")
	}
	// While it starts too: the source says what it waits for.
	if err := a.source.ready(); errors.Is(err, errAway) {
		return errAway
	} else if err != nil {
		return errUnread
	}
	if a.phase.Load() == starting {
		return errors.New("the program is starting")
	}
	return nil
}

// giveToken returns a socket token for any user. A program that is more than a
// demonstration gives a token only to a user who has signed in.
func (a *app) giveToken(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	if err := checkUserID(user); err != nil {
		answerError(w, http.StatusBadRequest, "user "+err.Error())
		return
	}
	tok, err := a.tokenFor(user)
	if err != nil {
		answerError(w, http.StatusInternalServerError, "no token could be made")
		return
	}
	answer(w, http.StatusOK, map[string]any{"token": tok, "expires_in": int(a.cfg.TokenAge.Seconds())})
}

// nap responds after a while. The worker of the page waits for it in order to be
// slow.
func nap(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
	if err != nil || ms < 0 || ms > 1000 {
		answerError(w, http.StatusBadRequest, "ms must be from 0 to 1000")
		return
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusNoContent)
}
