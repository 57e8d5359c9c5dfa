// Package httpretry makes of an HTTP response what a retry policy needs to know.
package httpretry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/penstock-go/penstock/retry"
)

// StatusError is the error of a response that is no success.
type StatusError struct {
	Code   int
	Status string // such as "404 Not Found"
}

// Error returns the status.
func (e *StatusError) Error() string { return "http: " + e.Status }

// Status returns nil for a response with a status below 400, and otherwise a [*StatusError]
// with a mark: the statuses 408, 425, 429 and 500 and above are tried again, after their
// Retry-After at the earliest, and other ones are [retry.Never]. It does not touch the body.
func Status(res *http.Response) error {
	if res.StatusCode < 400 {
		return nil
	}
	err := &StatusError{Code: res.StatusCode, Status: res.Status}
	switch {
	case res.StatusCode >= 500, res.StatusCode == http.StatusRequestTimeout,
		res.StatusCode == http.StatusTooEarly, res.StatusCode == http.StatusTooManyRequests:
		return retry.After(err, wait(res.Header.Get("Retry-After"), time.Now()))
	}
	return retry.Never(err)
}

// maxWait bounds the pause that a server can ask for, so that its mistake does not hold an
// event for years.
const maxWait = time.Hour

// wait returns the pause of a header Retry-After, which is a number of seconds or a date; 0 if
// it is neither.
func wait(header string, now time.Time) time.Duration {
	if at, err := http.ParseTime(header); err == nil {
		return min(max(0, at.Sub(now)), maxWait)
	}
	seconds, err := strconv.ParseUint(header, 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxWait)
}
