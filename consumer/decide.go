package consumer

import (
	"errors"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/retry"
)

// decision is what a policy says about an attempt that has failed.
type decision struct {
	pause  time.Duration // before the next one
	again  bool          // another attempt follows
	counts bool          // the failed one counts towards MaxAttempts
}

// decide asks policy about an attempt that has failed with err. If Retryable panics or ends
// in any other way there is no other attempt, and the error has both failures. It calls a
// function of the program: no lock may be held.
func decide(policy retry.Policy, attempt int, err error) (d decision, _ error) {
	asked := func() (failed error) {
		defer crash.Catch(&failed)
		d.pause, d.again, d.counts = policy.Next(attempt, err)
		return nil
	}()
	if asked != nil {
		return decision{}, errors.Join(err, asked)
	}
	return d, err
}
