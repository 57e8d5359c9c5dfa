package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/coder/websocket"

	"github.com/penstock-go/penstock/stage"
)

// writeTimeout is the default of the endpoint's Timeouts.Write: how long a client may take nothing.
const writeTimeout = 5 * time.Second

// TestClientThatStopsReadingHurtsNobody floods a user whose client has joined
// and reads nothing, and looks at the others and at the memory.
func TestClientThatStopsReadingHurtsNobody(t *testing.T) {
	// Had the stuck client held up the pipeline, the others would have waited for the write
	// deadline, however few pushes there are. A machine that has too little time for so many is
	// tried again with a half and a quarter of them.
	for slower := 1; ; slower *= 2 {
		before, during := besideAStuckClient(t, slower)
		if during <= before+writeTimeout/2 {
			return
		}
		if slower == 4 {
			t.Fatalf("the others' p99 went from %v to %v", before, during)
		}
	}
}

// besideAStuckClient returns the p99 of the others without and with the flood, with so many times
// fewer pushes.
func besideAStuckClient(t *testing.T, slower int) (before, during time.Duration) {
	t.Helper()
	const (
		others = 20
		phase  = 1500 * time.Millisecond // once without the flood, once with it
	)
	rate := time.Duration(1000 / slower) // pushes per second to the others
	flood := 20 / slower                 // pushes of a kilobyte per millisecond
	r := start(t, "-buffer", "100000")
	stuck := joinWithoutReading(t, r, "stuck")
	defer stuck.CloseNow()

	var mu sync.Mutex
	latency := hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	arrived := make(chan struct{}, 10*rate)
	for i := range others {
		s := r.join(strconv.Itoa(i))
		readers.Go(func() {
			for {
				got, err := s.next(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				_ = latency.RecordValue(max(1, time.Now().UnixMicro()-int64(got.At*1000)))
				mu.Unlock()
				arrived <- struct{}{}
			}
		})
	}
	// measure pushes to the others for a phase and returns their p99.
	measure := func() time.Duration {
		mu.Lock()
		latency.Reset()
		mu.Unlock()
		begin := time.Now()
		for n := range int(rate * phase / time.Second) {
			due := begin.Add(time.Duration(n) * time.Second / rate)
			<-time.After(time.Until(due))
			err := r.intake.enter([]push{{User: strconv.Itoa(n % others), Data: json.RawMessage(`{"n":1}`), At: due}}, func(error) {})
			if err != nil {
				t.Fatal(err)
			}
		}
		limit := time.After(patience)
		for range int(rate * phase / time.Second) {
			select {
			case <-arrived:
			case <-limit:
				t.Fatal("the others do not get their pushes")
			}
		}
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(latency.ValueAtQuantile(99)) * time.Microsecond
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}

	before = measure()
	memory := heap()
	var refused int64 // written before flooding is closed
	flooding := make(chan struct{})
	go func() {
		defer close(flooding)
		data := json.RawMessage(fmt.Sprintf(`{"n":1,"pad":%q}`, strings.Repeat("x", 1000)))
		for range int(phase / time.Millisecond) {
			for range flood {
				if err := r.intake.enter([]push{{User: "stuck", Data: data}}, func(error) {}); errors.Is(err, errKeyFull) {
					refused++
				} else if err != nil {
					t.Error(err)
				}
			}
			<-time.After(time.Millisecond)
		}
	}()
	during = measure()
	<-flooding
	eventually(t, patience, "the end of what waits", func() bool { return r.held() == 0 })
	grown := int64(heap()) - int64(memory)
	t.Logf("p99 of the others %v without and %v with the flood; memory grew by %d KiB for %d KiB of pushes",
		before, during, grown>>10, flood*int(phase/time.Millisecond))
	if grown > 16<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	sum := r.stop()
	// Nothing is lost behind its back: what does not fit is refused where it enters.
	if sum.Discarded["key_full"] != 0 || refused == 0 || sum.Refused != refused {
		t.Errorf("%d of the stuck user's pushes were refused: %+v", refused, sum)
	}
	return before, during
}

// held returns the number of pushes that have not reached the pipeline.
func (r running) held() int {
	_, waiting := r.source.account(0)
	return waiting + r.source.backlog()
}

// joinWithoutReading joins a user's channel over a socket with a small buffer
// and reads no more than the answer to that.
func joinWithoutReading(t *testing.T, r running, user string) *websocket.Conn {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}}
	token, err := r.tokenFor(user)
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := dial(t.Context(), r.listener.Addr().String(), token, client)
	if err != nil {
		t.Fatal(err)
	}
	s := &subscriber{t: t, conn: conn}
	if err := s.send(t.Context(), "1", "1", "user:"+user, "phx_join", struct{}{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestAStuckTabDoesNotDelayAnotherTab floods a user of whose two clients one does
// not read: the other one gets every push, in order, with no pause that is as long
// as the server's patience with the first.
func TestAStuckTabDoesNotDelayAnotherTab(t *testing.T) {
	r := start(t)
	stuck := joinWithoutReading(t, r, "1")
	defer stuck.CloseNow()
	healthy := r.join("1")
	ctx := within(t, patience)
	data := json.RawMessage(fmt.Sprintf(`{"pad":%q}`, strings.Repeat("x", 30_000)))
	var longest time.Duration
	for n := range 300 { // 9 MB, far more than is buffered for the stuck one
		if err := r.intake.enter([]push{{User: "1", Data: data}}, func(error) {}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		got, err := healthy.next(ctx)
		if err != nil || got.Seq != uint64(n+1) {
			t.Fatalf("got %d %v, want push %d", got.Seq, err, n+1)
		}
		longest = max(longest, time.Since(begin))
	}
	if longest > writeTimeout*4/5 {
		t.Errorf("a push took %v", longest)
	}
	if sum := r.stop(); sum.Delivered != 300 {
		t.Errorf("%+v", sum)
	}
}

// TestAClientThatTakesNothingDoesNotHoldUpTheEnd ends the program while a client that
// reads nothing has a queue: it ends in order, well before -drain is over. What the
// client has not taken is in Kafka for the next run if a broker keeps it, and otherwise
// discarded and counted.
func TestAClientThatTakesNothingDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"memory", "embedded", "kafka"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel() // it waits
			// On a busy machine the client may have been closed, by the time that a write may take,
			// before the end has come to it.
			for attempt := 1; !endWithAStuckClient(t, source); attempt++ {
				if attempt == 10 {
					t.Fatal("the client was closed before, each time")
				}
			}
		})
	}
}

// endWithAStuckClient reports whether the client was there until the program has ended.
func endWithAStuckClient(t *testing.T, source string) bool {
	t.Helper()
	const drain = 10 * time.Second
	args := []string{"-source", "kafka", "-drain", drain.String(), "-retention-mib", "256", "-partitions", "1"}
	switch source {
	case "memory":
		args[1] = "memory"
	case "kafka":
		_, broker := startBroker(t)
		args = append(args, "-brokers", broker)
	}
	r := start(t, args...)
	stuck := joinWithoutReading(t, r, "stuck")
	defer stuck.CloseNow()
	data := json.RawMessage(fmt.Sprintf(`{"pad":%q}`, strings.Repeat("x", 30_000)))
	const pushes = 200
	for range pushes {
		if err := r.intake.enter([]push{{User: "stuck", Data: data}}, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, patience, "the pushes reach the pipeline", func() bool { return r.ledger.accepted.Load() >= pushes && r.held() == 0 })
	begun := time.Now()
	sum := r.stop()
	took := time.Since(begun)
	if r.log.count("slow client closed") > 0 {
		return false
	}
	if took > drain*7/10 { // clients that take nothing get three tenths
		t.Errorf("the end took %v of %v", took, drain)
	}
	discarded := sum.Discarded["no_subscriber"] + sum.Discarded["client_full"]
	if sum.Kept {
		if sum.Queued == 0 || len(sum.Discarded) > 0 {
			t.Errorf("%+v", sum)
		}
		next := start(t, args...)
		s := next.join("stuck")
		for range sum.Queued {
			if _, err := s.next(within(t, patience)); err != nil {
				t.Fatal(err)
			}
		}
		next.stop()
	} else if discarded == 0 || sum.Queued != 0 {
		t.Errorf("%+v", sum)
	}
	return true
}

// TestAClientThatIsClosedInTheDrainLosesNothing closes a client that reads nothing while the
// pipeline drains, as the server does by itself after a while: what it has not got is in
// Kafka for the next run, also without a grace.
func TestAClientThatIsClosedInTheDrainLosesNothing(t *testing.T) {
	t.Parallel()
	_, broker := startBroker(t)
	args := []string{"-source", "kafka", "-brokers", broker, "-drain", "1m", "-partitions", "1"}
	r := start(t, args...)
	stuck := joinWithoutReading(t, r, "stuck")
	defer stuck.CloseNow()
	data := json.RawMessage(fmt.Sprintf(`{"pad":%q}`, strings.Repeat("x", 30_000)))
	const pushes = 200
	for range pushes {
		if err := r.intake.enter([]push{{User: "stuck", Data: data}}, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, patience, "the pushes reach the pipeline", func() bool { return r.ledger.accepted.Load() == pushes && r.held() == 0 })
	ended := make(chan summary, 1)
	go func() { ended <- r.stop() }()
	eventually(t, patience, "the drain", func() bool {
		return !slices.ContainsFunc(r.pipeline.Snapshot(t.Context()).Stages, func(s stage.Snapshot) bool { return !s.Draining })
	})
	if _, err := r.endpoint.Disconnect(t.Context(), socketID("stuck")); err != nil {
		t.Fatal(err)
	}
	sum := <-ended
	if sum.Queued == 0 || len(sum.Discarded) > 0 || !sum.balanced() {
		t.Errorf("%+v", sum)
	}
	next := start(t, args...)
	s := next.join("stuck")
	for range sum.Queued {
		if _, err := s.next(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
	next.stop()
}

// TestDrainThatTakesTooLongIsReported ends the program while a push is at work for
// longer than -drain: that is a failure, unless a broker keeps the push.
func TestDrainThatTakesTooLongIsReported(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"memory", "embedded", "kafka"} {
		t.Run(source, func(t *testing.T) {
			args := []string{"-source", "kafka", "-drain", "300ms", "-work", "1m"}
			switch source {
			case "memory":
				args[1] = "memory"
			case "kafka":
				_, broker := startBroker(t)
				args = append(args, "-brokers", broker)
			}
			r := start(t, args...)
			if err := r.intake.enter([]push{{User: "1", Data: json.RawMessage(`{}`)}}, func(error) {}); err != nil {
				t.Fatal(err)
			}
			eventually(t, patience, "the push is at work", func() bool { return r.workers[0].atWork.Load() == 1 })
			sum, err := r.end()
			if sum.Kept != (err == nil) || !sum.Kept && !errors.Is(err, stage.ErrDrainTimeout) {
				t.Errorf("it ended with %v", err)
			}
			if sum.Delivered != 0 || sum.Queued+sum.Discarded["stopped"] != 1 {
				t.Errorf("%+v", sum)
			}
		})
	}
}

// TestFloodFromKafkaIsReadLater: the pushes of a user who takes nothing fill the window of
// their partition, which is read no further. The user is refused when too many wait
// in the broker of this process, other users are not; nothing is discarded for it, and
// everything is read once that client has been closed.
func TestFloodFromKafkaIsReadLater(t *testing.T) {
	t.Parallel()
	r := start(t, "-source", "kafka", "-buffer-mib", "8", "-retention-mib", "256", "-partitions", "1")
	stuck := joinWithoutReading(t, r, "stuck")
	defer stuck.CloseNow()
	healthy := r.join("1")
	flood := make([]push, 20)
	for i := range flood {
		flood[i] = push{User: "stuck", Data: json.RawMessage(fmt.Sprintf(`{"pad":%q}`, strings.Repeat("x", 5_000)))}
	}
	taken := int64(0)
	eventually(t, patience, "a refusal that lasts", func() bool {
		var refused error
		for refused == nil {
			if refused = r.intake.enter(slices.Clone(flood), func(error) {}); refused == nil {
				taken += int64(len(flood))
			}
		}
		// The first refusals are of pushes that are on their way.
		return errors.Is(refused, errKeyFull) && r.source.backlog() > 100
	})
	if err := r.intake.enter([]push{{User: "1", Data: json.RawMessage(`{"n":7}`)}}, func(error) {}); err != nil {
		t.Errorf("another user: %v", err)
	}
	if got, err := healthy.next(within(t, patience)); err != nil || got.Data.N != 7 {
		t.Errorf("%+v %v", got, err)
	}
	sum := r.stop()
	if sum.Discarded["key_full"] != 0 || sum.Enqueued != taken+1 || sum.Queued+sum.Backlog != 0 || sum.Delivered+sum.Discarded["no_subscriber"] != taken+1 {
		t.Errorf("%d were taken in: %+v", taken, sum)
	}
}
