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
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/token"
)

func (s *server) routes() {
	control := http.NewServeMux()
	control.HandleFunc("GET /token", s.getToken)
	control.HandleFunc("GET /tokens", s.getTokens)
	control.HandleFunc("POST /broadcast", s.postBroadcast)
	control.HandleFunc("POST /push", s.postPush)
	control.HandleFunc("POST /pipeline", s.postPipeline)
	control.HandleFunc("POST /disconnect", s.postDisconnect)
	control.HandleFunc("GET /stats", s.getStats)
	control.HandleFunc("GET /heap", s.getHeap)
	for _, path := range []string{"/token", "/tokens", "/broadcast", "/push", "/pipeline", "/disconnect", "/stats", "/heap"} {
		s.mux.Handle(path, s.ownPages(control))
	}
	s.mux.Handle("/", s.endpoint)
}

func (s *server) sign(id string) (string, error) {
	return s.tokens.Sign(salt, id, token.SignConfig{})
}

func (s *server) getToken(w http.ResponseWriter, r *http.Request) {
	t, err := s.sign(parse(r).word("user", ""))
	if err != nil {
		http.Error(w, "cannot sign", http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, t)
}

func (s *server) getTokens(w http.ResponseWriter, r *http.Request) {
	q := parse(r)
	from, count := q.number("from", 0, maxEvents), q.number("count", 1, maxEvents)
	if q.refused(w) {
		return
	}
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
	q := parse(r)
	topic, event := q.word("topic", ""), q.word("event", "msg")
	count, rate, pad := q.number("count", 1, maxEvents), q.number("rate", 0, maxEvents), q.filler()
	if q.refused(w) {
		return
	}
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
	q := parse(r)
	prefix, event := q.word("prefix", "user:"), q.word("event", "msg")
	from, users, rounds := q.number("from", 0, maxEvents), q.number("users", 1, maxUsers), q.number("rounds", 1, maxEvents)
	rate, workers, pad := q.number("rate", 0, maxEvents), max(1, q.number("workers", 1, maxWorkers)), q.filler()
	if q.refused(w) {
		return
	}
	start := time.Now()
	var group sync.WaitGroup
	var receivers atomic.Int64
	for worker := range workers {
		group.Go(func() {
			mine := 0
			topics := make([]string, 0, users/workers+1) // of the users of this worker
			for u := worker; u < users; u += workers {
				topics = append(topics, prefix+strconv.Itoa(from+u))
			}
			defer func() { receivers.Add(int64(mine)) }()
			for round := range rounds {
				for i, topic := range topics {
					u := worker + i*workers
					if !pace(start, round*users+u, rate, r.Context().Done()) {
						return
					}
					payload := loadPayload{TS: time.Now().UnixNano(), Seq: round, Pad: pad}
					got, err := s.endpoint.Broadcast(r.Context(), topic, event, payload)
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
	n, err := s.endpoint.Disconnect(r.Context(), "users_socket:"+parse(r).word("user", ""))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]int{"connections": n})
}

func (s *server) getStats(w http.ResponseWriter, r *http.Request) {
	if parse(r).word("gc", "") != "" {
		debug.FreeOSMemory() // so that what is resident is what is used
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	snap := s.endpoint.Snapshot()
	if snap.Connections == 0 {
		s.empty.Store(&m)
	}
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
