package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// result is the answer to POST /push: a status and what its body says.
type result struct {
	status     int
	accepted   int    // pushes, with status 202
	fault      string // with any other status
	retryAfter int    // seconds; 0 for no header
}

// unconfirmed is the result of pushes of which it is not known what becomes of them.
func unconfirmed() result {
	return result{status: http.StatusServiceUnavailable, fault: "unconfirmed: the broker has not confirmed the pushes in time, and may still do so", retryAfter: 5}
}

// refused is the result of pushes that were not taken in.
func refused(err error) result {
	r := result{status: http.StatusInternalServerError, fault: err.Error()}
	switch {
	case errors.Is(err, errNever):
		r.status = http.StatusRequestEntityTooLarge
	// A full queue drains quickly.
	case errors.Is(err, errFull), errors.Is(err, errKeyFull), errors.Is(err, errShareFull):
		r.status, r.retryAfter = http.StatusTooManyRequests, 1
	// A process that ends takes longer to be replaced.
	case errors.Is(err, errClosing), errors.Is(err, errAway):
		r.status, r.retryAfter = http.StatusServiceUnavailable, 5
	}
	return r
}

// write sends the result.
func (r result) write(w http.ResponseWriter) {
	if r.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	if r.fault != "" {
		answerError(w, r.status, r.fault)
		return
	}
	answer(w, r.status, map[string]int{"accepted": r.accepted})
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
