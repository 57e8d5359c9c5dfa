package statsd

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	cactus "github.com/cactus/go-statsd-client/v5/statsd"

	"github.com/penstock-go/penstock/internal/option"
)

// Recorder is a [metrics.Recorder] that sends to a StatsD server. Make one with
// [New] and end it with [Recorder.Close].
type Recorder struct {
	cfg Config

	mu           sync.Mutex // guards what follows; never held while sending
	byKey        map[string]series
	series       []series            // those of byKey; a flush works on a copy
	figures      Snapshot            // the counts of it
	refusedNames map[string]struct{} // of series beyond MaxSeries, those that were logged
	searchAt     time.Time           // no search for series that give way before
	crowded      bool                // such a removal was logged
	warnings     []warning           // for the log, once the lock is free

	// dropped is added to by instruments on any goroutine and by the sender.
	dropped atomic.Int64

	// The goroutine of run is the only one that uses client and out. It ends with
	// stop after a last flush, or with hard without delay.
	stop   chan struct{} // closed by the first Close
	once   sync.Once
	hard   context.Context // ends sending at once
	abort  context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
	client *cactus.Client
	out    *sender
	all    []series  // the series of a flush
	swept  time.Time // the last sweep
}

// New returns a recorder that sends to cfg's server, and starts the
// goroutine that sends. It does not wait for the server or for the resolver;
// the only errors are those of the config, each a [*OptionError].
func New(cfg Config) (*Recorder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Recorder{
		cfg:   cfg,
		byKey: make(map[string]series), refusedNames: make(map[string]struct{}),
		stop: make(chan struct{}),
		done: make(chan struct{}),
	}
	s.hard, s.abort = context.WithCancel(context.Background())
	s.out = newSender(s.hard, cfg, &s.dropped)

	// The client's own buffered sender is not used: it ignores errors, and its
	// callers wait once 32 datagrams are queued.
	prefix := ""
	if cfg.Prefix != "" {
		prefix = cleanPart(cfg.Prefix, "")
	}
	statter, err := cactus.NewClientWithSender(s.out, prefix, clientTagFormats[cfg.Tags])
	if err != nil {
		return nil, option.Owner("statsd.Recorder").Refuse("Tags", cfg.Tags, err.Error())
	}
	s.client = statter.(*cactus.Client)
	// Values with a rate were sampled here; the client would sample them again.
	s.client.SetSamplerFunc(func(float32) bool { return true })

	go s.run()
	return s, nil
}

// Dropped returns the number of lines that could not be sent so far: those of
// datagrams that the socket or the server's host refused, those too long for a
// datagram, and each use of an instrument that was refused because of
// [Config.MaxSeries]. It does not block.
func (s *Recorder) Dropped() int64 { return s.dropped.Load() }

// Close sends the values recorded so far, ends the recorder's goroutine and
// returns when it has ended. Sending stops when ctx is done; then the rest is
// counted as dropped and Close returns ctx's error. Further calls wait for the
// first and return nil.
func (s *Recorder) Close(ctx context.Context) error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		select {
		case <-s.done:
		case <-ctx.Done():
			err = ctx.Err()
			s.abort()
		}
	})
	<-s.done
	s.abort()
	return err
}

// run is the recorder's goroutine: it flushes every FlushInterval, and once more
// at the end.
func (s *Recorder) run() {
	defer close(s.done)
	defer s.out.close()
	s.out.connect(time.Now())
	tick := time.NewTicker(s.cfg.FlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			s.flush(true)
			return
		case <-tick.C:
			s.flush(false)
		}
	}
}

// flush sends what all instruments have collected. Until there has been a
// connection, for at most holdFor, it leaves that to a later flush, unless it is
// the last one.
func (s *Recorder) flush(last bool) {
	now := time.Now()
	s.out.connect(now)
	if !last && s.out.mayStillConnect(now) {
		return // nothing is lost by waiting: the instruments continue to collect
	}
	s.out.begin(now)
	s.mu.Lock()
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		s.sweep(now)
	}
	s.all = append(s.all[:0], s.series...)
	s.mu.Unlock()
	for _, one := range s.all {
		one.flush(s, now)
	}
	clear(s.all)
	s.out.reportDropped(s.client)
	s.out.end()
}
