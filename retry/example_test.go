package retry_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/retry"
)

// A client for an API says what its errors mean for the next attempt. A policy decides.
func Example() {
	errRequest := errors.New("bad request")
	errBusy := errors.New("too many requests")
	policy := retry.Policy{MaxAttempts: 4, Jitter: retry.NoJitter}
	for _, err := range []error{
		errors.New("connection reset"),
		retry.After(errBusy, 5*time.Second), // the response had Retry-After: 5
		retry.Never(errRequest),
	} {
		pause, again, _ := policy.Next(1, err)
		fmt.Println(err, again, pause)
	}
	// Output:
	// connection reset true 100ms
	// too many requests true 5s
	// bad request false 0s
}
