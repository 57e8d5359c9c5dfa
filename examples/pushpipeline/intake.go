package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/trace"
)

// confirmTimeout bounds how long a request waits for the broker's acknowledgement.
const confirmTimeout = 5 * time.Second

// intake takes in pushes, over HTTP and from the load generator. Any goroutine may
// call it.
type intake struct {
	source    source
	ledger    *ledger
	producers producers
	pacer     *pacer
	bodies    *bodyShares
	answers   *answers
	refusals  *refusals
	confirm   time.Duration  // confirmTimeout; tests have less
	pending   sync.WaitGroup // goroutines of requests with an idempotency key
	// Set before the first request. Without a tracer there are no spans.
	tracer      trace.Tracer
	sampleRoots bool // requests without a header may be sampled

	// Guards open. What enters holds it for reading, so that nothing is on its way into
	// the source once setOpen(false) has returned. source.enter does not wait.
	mu   sync.RWMutex
	open bool // false before the pipeline runs and once it ends
}

// newIntake returns a closed intake in front of source.
func newIntake(source source, l *ledger, p producers, rate float64, log *slog.Logger) *intake {
	return &intake{
		source: source, ledger: l, producers: p, pacer: newPacer(rate), answers: newAnswers(), bodies: newBodyShares(maxBodies),
		refusals: newRefusals(l.recorder, log),
		confirm:  confirmTimeout,
	}
}

// setOpen begins or ends taking in. When it has returned false holds for every push:
// the source then drains what it has, and no request finds half of its pushes taken.
func (in *intake) setOpen(open bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.open = open
}

// enter takes in all of pushes, or none of them and returns the reason. It counts
// and logs those that are refused. done is as in source.
func (in *intake) enter(pushes []push, done func(error)) error {
	err := in.admit(pushes, done)
	if err != nil {
		in.refuse(refusalOf(err), len(pushes))
	}
	return err
}

// admit passes pushes on to the source, unless it is closed.
func (in *intake) admit(pushes []push, done func(error)) error {
	in.mu.RLock()
	defer in.mu.RUnlock()
	if !in.open {
		return errClosing
	}
	return in.source.enter(pushes, done)
}

// refuse accounts for n pushes that are not taken in.
func (in *intake) refuse(reason string, n int) {
	in.ledger.refused.Add(int64(n))
	in.refusals.note(reason, n)
}

// ServeHTTP serves POST /push. The status is 202 when everything that was posted is
// where a crash cannot lose it. After 502, and after 503 with the word unconfirmed, some
// of it may be delivered all the same; after any other status nothing was enqueued. With
// the header Idempotency-Key a request that is sent again while the first one is under
// way, or after its 202, gets the answer of the first one and pushes nothing a second time.
func (in *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answerError(w, http.StatusMethodNotAllowed, "use POST")
		return
	}
	// Before the body is read, which costs memory.
	producer, err := in.producers.name(r)
	if err != nil {
		in.refusals.note("unauthorized", 1)
		w.Header().Set("WWW-Authenticate", `Bearer realm="push"`)
		answerError(w, http.StatusUnauthorized, err.Error())
		return
	}
	key, err := idempotencyKey(r)
	if err != nil {
		in.refusals.note("idempotency", 1)
		answerError(w, http.StatusBadRequest, err.Error())
		return
	}
	// One byte over the bound fails the read, whatever Content-Length says.
	hash := sha256.New()
	bounded := &sharedBody{from: http.MaxBytesReader(w, r.Body, maxBody), shares: in.bodies, producer: producer}
	defer bounded.release()
	pushes, err := parsePushes(io.TeeReader(bounded, hash), in.source.capacity())
	if err != nil {
		in.refuseBody(w, err)
		return
	}
	for i := range pushes {
		pushes[i].By = producer
	}
	span := in.beginSpan(r, pushes)
	var answer result
	if key == "" {
		answer = in.take(r.Context(), producer, pushes, in.confirm)
	} else {
		answer = in.once(r.Context(), answerID{producer, key}, [sha256.Size]byte(hash.Sum(nil)), pushes)
	}
	answer.write(w)
	endSpan(span, answer)
}

// refuseBody responds to a body that could not be read or is wrong.
func (in *intake) refuseBody(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	var input *inputError
	switch {
	case errors.As(err, &large):
		in.refusals.note("too_large", 1)
		answerError(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.Itoa(maxBody)+" bytes")
	case errors.As(err, &input):
		status, reason := http.StatusBadRequest, "malformed"
		if input.Large {
			status, reason = http.StatusRequestEntityTooLarge, "too_large"
		}
		in.refusals.note(reason, 1)
		// The rest of the body is not worth reading.
		w.Header().Set("Connection", "close")
		answerError(w, status, err.Error())
	case errors.Is(err, websocket.ErrBodies), errors.Is(err, errBodies):
		in.refusals.note("bodies", 1)
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Connection", "close")
		answerError(w, http.StatusServiceUnavailable, "too many requests with large bodies are under way")
	default:
		in.refusals.note("unread", 1)
		w.Header().Set("Connection", "close")
		answerError(w, http.StatusBadRequest, "the body could not be read")
	}
}

// idempotencyKey returns the request's key, "" if it has none.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 || values[0] == "" || len(values[0]) > maxIdempotencyKey {
		return "", errors.New("Idempotency-Key must be one value of 1 to " + strconv.Itoa(maxIdempotencyKey) + " bytes")
	}
	return values[0], nil
}

// once is take for a request with an idempotency key.
func (in *intake) once(ctx context.Context, id answerID, body [sha256.Size]byte, pushes []push) result {
	e, mine := in.answers.begin(id, body, time.Now())
	switch {
	case e == nil:
		in.refuse("idempotency", len(pushes))
		return result{status: http.StatusTooManyRequests, fault: "too many requests with an Idempotency-Key are under way", retryAfter: 1}
	case e.body != body:
		in.refuse("idempotency", len(pushes))
		return result{status: http.StatusUnprocessableEntity, fault: "this Idempotency-Key was used for another body"}
	case mine:
		// Until the result is known, not only as long as this request waits: only then is
		// it known whether a repetition must push.
		in.pending.Go(func() {
			in.answers.finish(e, in.take(context.Background(), id.producer, pushes, longest), time.Now())
		})
	}
	timer := time.NewTimer(in.confirm)
	defer timer.Stop()
	select {
	case <-e.done:
		return e.result
	case <-timer.C:
		return unconfirmed()
	case <-ctx.Done():
		return unconfirmed() // the caller is gone
	}
}

// longest is a time in which the source has confirmed or failed every push.
const longest = 5 * time.Minute

// take takes in pushes of a producer and waits up to limit for what becomes of them, or
// until ctx is done.
func (in *intake) take(ctx context.Context, producer string, pushes []push, limit time.Duration) result {
	if wait, ok := in.pacer.spend(producer, len(pushes), time.Now()); !ok {
		in.refuse("rate", len(pushes))
		return result{status: http.StatusTooManyRequests, fault: "this producer pushes faster than it may", retryAfter: seconds(wait)}
	}
	// It has room for every result, so that done never blocks, even after the
	// caller has gone.
	results := make(chan error, len(pushes))
	if err := in.enter(pushes, func(err error) { results <- err }); err != nil {
		in.pacer.refund(producer, len(pushes))
		return refused(err)
	}
	return await(ctx, results, len(pushes), limit)
}

// await waits for n results, up to limit.
func await(ctx context.Context, results <-chan error, n int, limit time.Duration) result {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	failed := 0
	for range n {
		select {
		case err := <-results:
			if err != nil {
				failed++
			}
		// The pushes have been taken in all the same.
		case <-timer.C:
			return unconfirmed()
		case <-ctx.Done():
			return unconfirmed() // the caller is gone
		}
	}
	if failed > 0 {
		return result{
			status: http.StatusBadGateway, retryAfter: 5,
			fault: strconv.Itoa(failed) + " of " + strconv.Itoa(n) + " pushes were not confirmed by the broker",
		}
	}
	return result{status: http.StatusAccepted, accepted: n}
}
