package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

func TestRetriesComeAfterTheirPause(t *testing.T) { retryRounds(t, embedded(t)) }
func TestDelay(t *testing.T)                      { delay(t, embedded(t)) }

// traced is an event with the trace of its record.
type traced struct {
	Trace
	text string
}

// retryRounds: an event that fails comes again from the topic of each round, after the
// round's pause, and in the end is a dead letter that knows where it began.
func retryRounds(t *testing.T, c *cluster) {
	jobs, first, second, dead := c.topic("jobs", 1), c.topic("retry-1", 1), c.topic("retry-2", 1), c.topic("dead", 1)
	sink := stage.Must(NewRetries(RetriesConfig{
		Brokers: c.addrs, Topics: []string{first, second}, DeadTopic: dead,
		Dead: func(l deadletter.Letter) bool { return strings.Contains(l.Error, "hopeless") },
	}))
	const pause = time.Second
	var mu sync.Mutex
	times := map[string][]time.Time{}
	decode := func(r *kgo.Record) (traced, error) { return traced{TraceOf(r), string(r.Value)}, nil }
	handle := func(_ context.Context, event traced) error {
		mu.Lock()
		defer mu.Unlock()
		times[event.text] = append(times[event.text], time.Now())
		switch n := len(times[event.text]); {
		case event.text == "hopeless":
			return errors.New("hopeless")
		case event.text == "bad", event.text == "late" && n < 3:
			return fmt.Errorf("attempt %d", n)
		}
		return nil
	}
	var stages []stage.Stage
	groups := map[string]string{}
	for i, topic := range []string{jobs, first, second} {
		cfg := Config[traced]{
			Brokers: c.addrs, Topics: []string{topic}, Group: c.name(fmt.Sprint("g", i)), Decode: decode, CommitInterval: 50 * time.Millisecond,
			Options: []kgo.Opt{kgo.FetchMaxWait(100 * time.Millisecond)},
		}
		groups[topic] = cfg.Group
		if i > 0 {
			cfg.Delay = pause
		}
		in := stage.Must(stage.NewProducer(stage.Must(NewProducer(cfg)), stage.ProducerConfig[traced]{}))
		pool := stage.Must(consumer.NewSupervisor(handle, consumer.SupervisorConfig[traced]{
			Retry: retry.Policy{MaxAttempts: 1}, DeadLetters: sink,
			Encode: func(e traced) ([]byte, error) { return e.Record().Value, nil },
		}))
		out := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
		subscribe(t, out, in, stage.SubscribeConfig{})
		stages = append(stages, in, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(ctx, stages...) }()
	c.produce(jobs, 0, "good", "bad", "late", "hopeless")
	records := c.letters(dead, 2)
	eventually(t, "the third attempt", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(times["late"]) == 3
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := sink.Close(t.Context()); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	counts := map[string]int{}
	for text, list := range times {
		counts[text] = len(list)
		for i := 1; i < len(list); i++ {
			if d := list[i].Sub(list[i-1]); d < pause-100*time.Millisecond {
				t.Errorf("%s came again after %v", text, d)
			}
		}
	}
	if got := fmt.Sprint(counts); got != "map[bad:3 good:1 hopeless:1 late:3]" {
		t.Errorf("handled %s", got)
	}
	for topic, want := range map[string]int64{jobs: 4, first: 2, second: 2} {
		if at := c.committed(groups[topic], topic, 0); at != want {
			t.Errorf("%s: committed %d, want %d", topic, at, want)
		}
	}
	slices.SortFunc(records, func(a, b *kgo.Record) int { return strings.Compare(string(a.Value), string(b.Value)) })
	bad := LetterOf(records[0])
	if string(records[0].Value) != "bad" || bad.Attempts != 3 || bad.Source != jobs+"/0@1" || bad.Error != "attempt 3" || bad.Last.Sub(bad.First) < 2*pause-200*time.Millisecond {
		t.Errorf("letter %+v", bad)
	}
	if l := LetterOf(records[1]); string(records[1].Value) != "hopeless" || l.Attempts != 1 || l.Source != jobs+"/0@3" {
		t.Errorf("letter %+v", l)
	}
}

// letters reads n records of a topic.
func (c *cluster) letters(topic string, n int) (list []*kgo.Record) {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
	defer cancel()
	for len(list) < n {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("%d of %d records", len(list), n)
		}
		list = append(list, fetches.Records()...)
	}
	return list
}

// delay: records wait until they are old enough, in their order, and hold up no other
// partition.
func delay(t *testing.T, c *cluster) {
	topic := c.topic("delayed", 2)
	cfg := c.config("g", topic)
	cfg.Delay, cfg.Options = 1500*time.Millisecond, []kgo.Opt{kgo.FetchMaxWait(100 * time.Millisecond)}
	now := time.Now()
	send := func(partition int32, value string, age time.Duration) {
		c.send(&kgo.Record{Topic: topic, Partition: partition, Value: []byte(value), Timestamp: now.Add(-age)})
	}
	send(0, "old", time.Hour)
	send(1, "ancient", 2*time.Hour)
	p := stage.Must(NewProducer(cfg))
	r := read(t, p)
	r.want("old", "ancient")
	// Joining the group may take longer than the delay. A record's time has no digits beyond
	// milliseconds.
	now = time.Now().Truncate(time.Millisecond)
	send(0, "new", 0)
	send(0, "behind", time.Hour) // it waits behind its partition's
	send(1, "other", time.Hour)
	r.want("old", "ancient", "other")
	r.want("old", "ancient", "other", "new", "behind")
	if d := time.Since(now); d < cfg.Delay || d > cfg.Delay+20*time.Second {
		t.Errorf("delivered after %v", d)
	}
	eventually(t, "the commits", func() bool { return c.committed(cfg.Group, topic, 0) == 3 && c.committed(cfg.Group, topic, 1) == 2 })
	r.leave()
}

// A letter of an event that came back says so, also as JSON.
func TestPastInLetters(t *testing.T) {
	r := &kgo.Record{Topic: "retry-1", Offset: 7, Value: []byte("x")}
	if l := deadletter.Of(traced{Trace: TraceOf(r)}, nil); l.Past != nil || l.Source != "retry-1/0@7" {
		t.Errorf("letter %+v", l)
	}
	r.Headers = []kgo.RecordHeader{{Key: headerRound, Value: []byte("2")}, {Key: headerAttempts, Value: []byte("6")}, {Key: headerSource, Value: []byte("jobs/0@3")}}
	l := deadletter.Of(traced{Trace: TraceOf(r)}, nil)
	l.Attempts = 3
	if l.Past == nil || l.Past.Round != 2 || l.Past.Attempts != 6 || l.Past.Source != "jobs/0@3" {
		t.Errorf("letter %+v", l)
	}
	data, err := json.Marshal(l)
	if err != nil || !strings.Contains(string(data), `"past":{"round":2,`) {
		t.Errorf("%s, %v", data, err)
	}
	if back := LetterOf(letterRecord(l)); back.Attempts != 9 || back.Source != "jobs/0@3" {
		t.Errorf("back %+v", back)
	}
	if (Trace{}).Position() != "" || (Trace{}).Past().Round != 0 {
		t.Error("the zero value has a place")
	}
}
