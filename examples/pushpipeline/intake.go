package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

// intake takes in pushes, over HTTP and from the load generator. Any goroutine may
// call it.
type intake struct {
	source source
	ledger *ledger
	open   atomic.Bool // false before the pipeline runs and once it ends
}

// enter takes in all of pushes, or none of them and returns the reason. It counts
// those that the source refuses. done is as
// in source.
func (in *intake) enter(pushes []push, done func(error)) error {
	if !in.open.Load() {
		return errClosing
	}
	err := in.source.enter(pushes, done)
	if err != nil {
		in.ledger.refused.Add(int64(len(pushes)))
	}
	return err
}

// ServeHTTP serves POST /push. The status is 202 when everything that was posted is
// where a crash cannot lose it, and 502 when a broker has not confirmed some of it.
// After any other status nothing was enqueued.
func (in *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answerError(w, http.StatusMethodNotAllowed, "use POST")
		return
	}
	// One byte over the bound fails the read, whatever Content-Length says.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			answerError(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.Itoa(maxBody)+" bytes")
			return
		}
		answerError(w, http.StatusBadRequest, "the body could not be read")
		return
	}
	// All are checked before any is taken in.
	pushes, err := parsePushes(body)
	if err != nil {
		status := http.StatusBadRequest
		var input *inputError
		if errors.As(err, &input) && input.Large {
			status = http.StatusRequestEntityTooLarge
		}
		answerError(w, status, err.Error())
		return
	}
	// It has room for every result, so that done never blocks, even after the
	// caller has gone.
	results := make(chan error, len(pushes))
	if err := in.enter(pushes, func(err error) { results <- err }); err != nil {
		switch {
		// Retry-After is in seconds: a full queue drains quickly.
		case errors.Is(err, errFull):
			w.Header().Set("Retry-After", "1")
			answerError(w, http.StatusTooManyRequests, err.Error())
		// A process that ends takes longer to be replaced.
		case errors.Is(err, errClosing):
			w.Header().Set("Retry-After", "5")
			answerError(w, http.StatusServiceUnavailable, err.Error())
		default:
			answerError(w, http.StatusInternalServerError, err.Error())
		}
		return
	}
	// done is called once for each push, so that this ends.
	failed := 0
	for range pushes {
		select {
		case err = <-results:
			if err != nil {
				failed++
			}
		// The pushes have been taken in all the same.
		case <-r.Context().Done():
			return // the caller is gone
		}
	}
	if failed > 0 {
		answerError(w, http.StatusBadGateway, strconv.Itoa(failed)+" of "+strconv.Itoa(len(pushes))+" pushes were not confirmed by the broker")
		return
	}
	answer(w, http.StatusAccepted, map[string]int{"accepted": len(pushes)})
}

// answerError writes a status with a message that the caller can act on.
func answerError(w http.ResponseWriter, status int, fault string) {
	answer(w, status, map[string]string{"error": fault})
}

// answer writes a status with v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	// The message may quote what the caller has sent.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
