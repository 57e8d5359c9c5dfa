package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/token"
)

func (s *server) routes() {
	s.mux.HandleFunc("GET /token", s.getToken)
	s.mux.HandleFunc("GET /tokens", s.getTokens)
	s.mux.HandleFunc("POST /broadcast", s.postBroadcast)
	s.mux.HandleFunc("POST /push", s.postPush)
	s.mux.HandleFunc("POST /pipeline", s.postPipeline)
	s.mux.HandleFunc("POST /disconnect", s.postDisconnect)
	s.mux.HandleFunc("GET /stats", s.getStats)
	s.mux.Handle("/", s.endpoint)
}

func (s *server) sign(id string) (string, error) {
	return s.tokens.Sign(salt, id, token.SignConfig{})
}

func (s *server) getToken(w http.ResponseWriter, r *http.Request) {
	t, err := s.sign(r.FormValue("user"))
	if err != nil {
		http.Error(w, "cannot sign", http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, t)
}

func (s *server) getTokens(w http.ResponseWriter, r *http.Request) {
	from, count := number(r, "from", 0), number(r, "count", 1)
	out := bufio.NewWriter(w)
	defer out.Flush()
	for i := from; i < from+count; i++ {
		t, err := s.sign(strconv.Itoa(i))
		if err != nil {
			return
		}
		fmt.Fprintln(out, t)
	}
}

type loadPayload struct {
	TS  int64  `json:"ts"`
	Seq int    `json:"seq"`
	Pad string `json:"pad"`
}

// filler is what makes a payload as long as was asked for.
func filler(r *http.Request) string { return strings.Repeat("x", number(r, "bytes", 200)) }

// pace waits so that the n-th event is not before its time; rate is per second,
// 0 means flat out.
func pace(start time.Time, n, rate int, done <-chan struct{}) bool {
	if rate <= 0 {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	due := start.Add(time.Duration(n) * time.Second / time.Duration(rate))
	wait := time.Until(due)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

func (s *server) postBroadcast(w http.ResponseWriter, r *http.Request) {
	topic, event := r.FormValue("topic"), word(r, "event", "msg")
	count, rate := number(r, "count", 1), number(r, "rate", 0)
	pad := filler(r)
	start, receivers := time.Now(), 0
	for i := range count {
		if !pace(start, i, rate, r.Context().Done()) {
			break
		}
		n, err := s.endpoint.Broadcast(r.Context(), topic, event, loadPayload{TS: time.Now().UnixNano(), Seq: i, Pad: pad})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		receivers += n
	}
	writeJSON(w, map[string]any{"count": count, "receivers": receivers, "us": time.Since(start).Microseconds()})
}

// postPush pushes to each user in turn. A user belongs to one worker, so that
// the order of its messages is that of their numbers.
func (s *server) postPush(w http.ResponseWriter, r *http.Request) {
	prefix, event := word(r, "prefix", "user:"), word(r, "event", "msg")
	from, users, rounds := number(r, "from", 0), number(r, "users", 1), number(r, "rounds", 1)
	rate, workers := number(r, "rate", 0), max(1, number(r, "workers", 1))
	pad := filler(r)
	start := time.Now()
	var group sync.WaitGroup
	var receivers atomic.Int64
	for worker := range workers {
		group.Go(func() {
			mine := 0
			defer func() { receivers.Add(int64(mine)) }()
			for round := range rounds {
				for u := worker; u < users; u += workers {
					if !pace(start, round*users+u, rate, r.Context().Done()) {
						return
					}
					payload := loadPayload{TS: time.Now().UnixNano(), Seq: round, Pad: pad}
					got, err := s.endpoint.Broadcast(r.Context(), prefix+strconv.Itoa(from+u), event, payload)
					if err != nil {
						return
					}
					mine += got
				}
			}
		})
	}
	group.Wait()
	writeJSON(w, map[string]any{"count": users * rounds, "receivers": receivers.Load(), "us": time.Since(start).Microseconds()})
}

func (s *server) postDisconnect(w http.ResponseWriter, r *http.Request) {
	n, err := s.endpoint.Disconnect(r.Context(), "users_socket:"+r.FormValue("user"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]int{"connections": n})
}

func (s *server) getStats(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("gc") != "" {
		debug.FreeOSMemory() // so that what is resident is what is used
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	snap := s.endpoint.Snapshot()
	writeJSON(w, map[string]any{
		"pid": os.Getpid(), "goroutines": runtime.NumGoroutine(),
		"heap": m.HeapInuse, "stack": m.StackInuse, "sys": m.Sys,
		"connections": snap.Connections, "channels": snap.Channels,
		"queued_frames": snap.QueuedFrames, "queued_bytes": snap.QueuedBytes, "slow": snap.SlowCount,
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func number(r *http.Request, name string, fallback int) int {
	if n, err := strconv.Atoi(r.FormValue(name)); err == nil {
		return n
	}
	return fallback
}

func word(r *http.Request, name, fallback string) string {
	if v := r.FormValue(name); v != "" {
		return v
	}
	return fallback
}
