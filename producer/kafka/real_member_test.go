package kafka

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// jobVariable is the environment variable that makes the program of the tests a member of a
// group, a process of its own that can be killed.
const jobVariable = "PENSTOCK_TEST_MEMBER"

// portion is what such a member does. Journal gets a line for each record, which is on the disk
// before the record has its receipt.
type job struct {
	Brokers []string
	Topic   string
	Group   string
	Journal string
	Shape   string // see run
	Window  int
	Session time.Duration
	// Down names a file: while it is there, what the members write to is down. Default: it
	// is always up.
	Down string
	// Database and Table, if set, take what shape pipeline writes, in place of the journal.
	Database, Table string
}

// up returns an error while what the members write to is down.
func (j job) up() error {
	if _, err := os.Stat(j.Down); j.Down != "" && err == nil {
		return errPassing
	}
	return nil
}

// push is a record: the number seq of a user's, from 0 on.
type push struct {
	User, Seq, Partition int32
	Offset               int64
}

func decodePush(r *kgo.Record) (p push, err error) {
	p.Partition, p.Offset = r.Partition, r.Offset
	_, err = fmt.Sscanf(string(r.Value), "%d %d", &p.User, &p.Seq)
	return p, err
}

func (p push) key() string { return fmt.Sprint(p.User) }

// runJob is the main function of a member. A signal TERM drains it.
func runJob(text string) int {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// From here on a signal is heeded: the file is the sign of it (see process.ready).
	file, err := os.OpenFile(j.Journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer func() { _ = file.Close() }()
	if err := j.run(ctx, &journal{file: file}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// run runs the member's pipeline until ctx is done.
func (j job) run(ctx context.Context, to *journal) error {
	source, err := NewProducer(Config[push]{
		Brokers: j.Brokers, Topics: []string{j.Topic}, Group: j.Group, Decode: decodePush, Window: j.Window,
		Options: []kgo.Opt{kgo.SessionTimeout(j.Session), kgo.HeartbeatInterval(j.Session / 6)},
	})
	if err != nil {
		return err
	}
	write := func(_ context.Context, events []push) error { return to.write(events...) }
	each := func(_ context.Context, event push) error {
		if err := j.up(); err != nil {
			return err
		}
		return to.write(event)
	}
	if j.Table != "" {
		pool, err := pgxpool.New(ctx, j.Database)
		if err != nil {
			return err
		}
		defer pool.Close()
		write = func(ctx context.Context, events []push) error { return insert(ctx, pool, j.Table, events) }
	}
	user := func(p push) int32 { return p.User }
	switch j.Shape {
	case "chunks": // a source and a consumer
		from := stage.Must(stage.NewProducer(source, stage.ProducerConfig[push]{Name: "source"}))
		end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[push](write), stage.ConsumerConfig{Name: "journal"}))
		if _, err := end.Subscribe(from, stage.SubscribeConfig{MaxDemand: 500}); err != nil {
			return err
		}
		return stage.Run(ctx, from, end)
	case "fair": // a lossless fair dispatcher and a pool
		from := stage.Must(stage.NewProducer(source, stage.ProducerConfig[push]{
			Name: "source", Dispatcher: stage.Must(fair.New(user, fair.Config[push]{})),
		}))
		pool := stage.Must(consumer.NewSupervisor(each, consumer.SupervisorConfig[push]{MaxDemand: 64}))
		end := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "journal"}))
		if _, err := end.Subscribe(from, stage.SubscribeConfig{}); err != nil {
			return err
		}
		return stage.Run(ctx, from, end)
	case "pipeline": // two transforms and a batch end, which fail now and then
		fail := flaky{seed: uint32(os.Getpid())}
		p := pipeline.New(pipeline.Config{Retry: retry.Policy{MaxAttempts: retry.Unlimited, Backoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond}})
		parsed := pipeline.Map(pipeline.From(p, source, pipeline.SourceConfig[push]{}),
			func(_ context.Context, e push) (push, error) { return e, fail.now(50) },
			pipeline.StepConfig[push]{Name: "parse", Workers: 4, Key: push.key})
		twice := pipeline.FlatMap(parsed, func(_ context.Context, e push, emit func(push)) error {
			if err := fail.now(50); err != nil {
				return err
			}
			emit(e)
			return nil
		}, pipeline.StepConfig[push]{Name: "enrich", Workers: 4, Key: push.key})
		pipeline.EachBatch(twice, func(ctx context.Context, events []push) error {
			if err := fail.now(5); err != nil {
				return err
			}
			return write(ctx, events)
		}, pipeline.BatchConfig[push]{Name: "journal", Size: 200, Timeout: 50 * time.Millisecond})
		return p.Run(ctx)
	case "workers": // a pipeline of one step, with the order of each user, that waits for what is down
		p := pipeline.New(pipeline.Config{Retry: retry.Policy{MaxAttempts: retry.Unlimited, Backoff: 100 * time.Millisecond, MaxBackoff: time.Second}})
		pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[push]{}), each,
			pipeline.StepConfig[push]{Name: "journal", Workers: 64, Key: push.key})
		return p.Run(ctx)
	}
	return errors.New("no such shape: " + j.Shape)
}

// flaky fails one of n calls, in an order that follows from the seed.
type flaky struct {
	mu   sync.Mutex
	seed uint32
}

var errPassing = errors.New("a fault that passes")

func (f *flaky) now(n uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := fnv.New32a()
	fmt.Fprint(h, f.seed)
	f.seed = h.Sum32()
	if f.seed%n == 0 {
		return errPassing
	}
	return nil
}

// journal appends lines to a file. Writes that come at the same time share one fsync.
type journal struct {
	file *os.File

	mu      sync.Mutex
	lines   []byte
	next    *flush // of the lines that wait
	running bool   // a flush is under way; its goroutine takes the next one too
}

// flush is one write to the disk.
type flush struct {
	done chan struct{}
	err  error
}

// write returns when the records are on the disk.
func (j *journal) write(events ...push) error {
	now := time.Now().UnixNano() // one clock for all processes
	j.mu.Lock()
	if j.next == nil {
		j.next = &flush{done: make(chan struct{})}
	}
	mine := j.next
	for _, e := range events {
		j.lines = fmt.Appendf(j.lines, "%d %d %d %d %d\n", now, e.User, e.Seq, e.Partition, e.Offset)
	}
	if !j.running {
		j.running = true
		go j.flush()
	}
	j.mu.Unlock()
	<-mine.done
	return mine.err
}

func (j *journal) flush() {
	for {
		j.mu.Lock()
		lines, f := j.lines, j.next
		if f == nil {
			j.running = false
			j.mu.Unlock()
			return
		}
		j.lines, j.next = nil, nil
		j.mu.Unlock()
		if _, f.err = j.file.Write(lines); f.err == nil {
			f.err = j.file.Sync()
		}
		close(f.done)
	}
}

// entry is a line of a journal: when which record was handled.
type entry struct {
	at int64
	push
}

// readJournal reads the whole lines of a journal. A last one that is not whole was being
// written when its member was killed.
func readJournal(path string, each func(entry)) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // killed before its start
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil
		}
		var e entry
		if _, err := fmt.Sscanf(line, "%d %d %d %d %d", &e.at, &e.User, &e.Seq, &e.Partition, &e.Offset); err != nil {
			return fmt.Errorf("%s: %q: %w", path, line, err)
		}
		each(e)
	}
}
