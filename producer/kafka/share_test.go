package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func TestShareVerdicts(t *testing.T)       { shareVerdicts(t, embedded(t)) }
func TestShareMembers(t *testing.T)        { shareMembers(t, embedded(t)) }
func TestShareKilledMember(t *testing.T)   { shareKilled(t, embedded(t)) }
func TestShareRenewsItsLocks(t *testing.T) { shareRenews(t, embedded(t), 3*time.Second, true) }
func TestShareDrainGivesBack(t *testing.T) { shareDrain(t, embedded(t)) }

// TestShareCore: what is fetched, emitted and judged, step by step.
func TestShareCore(t *testing.T) {
	records := func(n int) (list []*kgo.Record) {
		for range n {
			list = append(list, &kgo.Record{})
		}
		return list
	}
	var c shareCore
	judge := func(first uint64, count, want int) {
		t.Helper()
		n := c.judge(first, count, func(*kgo.Record) {})
		c.settle(n)
		if n != want {
			t.Errorf("%d judged, want %d", n, want)
		}
	}
	emit := func(want int) {
		t.Helper()
		if from, to := c.emit(); to-from != want {
			t.Errorf("%d emitted, want %d", to-from, want)
		}
	}
	if c.fetches() {
		t.Error("fetches without demand")
	}
	c.owed = 3
	c.take(records(5))
	emit(3)
	if c.fetches() || c.stalled() {
		t.Error("fetches, or is stalled, with a batch that is not emitted")
	}
	judge(0, 2, 2)
	judge(0, 3, 1) // known ones count once
	judge(3, 2, 0) // not emitted
	if len(c.unfinished()) != 2 {
		t.Errorf("%d unfinished", len(c.unfinished()))
	}
	c.owed = 10
	emit(2)
	if !c.stalled() {
		t.Error("is not stalled")
	}
	judge(3, 2, 2)
	if !c.fetches() {
		t.Error("does not fetch")
	}
	c.take(records(1))
	emit(1)
	judge(4, 1, 0) // of the batch before
	judge(5, 1, 1)
	c.take(records(2))
	c.ended = true
	emit(0)
	if c.fetches() || len(c.unfinished()) != 2 {
		t.Error("goes on after the end")
	}
}

// shareConfig is that of a member of a share group that begins with the oldest records.
func (c *cluster) shareConfig(group string, topics ...string) ShareConfig[string] {
	c.t.Helper()
	c.groupConfig(group, "share.auto.offset.reset", "earliest")
	return ShareConfig[string]{
		Brokers: c.addrs, Topics: topics, Group: c.name(group), Size: 100,
		Decode: func(r *kgo.Record) (string, error) {
			if string(r.Value) == "poison" {
				return "", errors.New("not usable")
			}
			return fmt.Sprintf("%s-%d", r.Value, r.DeliveryCount()), nil
		},
	}
}

// groupConfig sets a group's setting at the broker.
func (c *cluster) groupConfig(group, key, value string) {
	c.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, c.name(group)
	setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	setting.Name, setting.Value = key, kmsg.StringPtr(value)
	resource.Configs = append(resource.Configs, setting)
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(c.t.Context(), c.client)
	if err != nil {
		c.t.Fatal(err)
	}
	if code := resp.Resources[0].ErrorCode; code != 0 {
		c.t.Fatalf("setting %s of a group: error %d", key, code)
	}
}

// shareVerdicts: an event that fails is rejected, one for which the program says so is
// released and comes again, and poison is rejected.
func shareVerdicts(t *testing.T, c *cluster) {
	topic := c.topic("jobs", 1)
	c.produce(topic, 0, "a", "poison", "bad", "again", "b")
	cfg := c.shareConfig("g", topic)
	cfg.Verdict = func(r *kgo.Record, o receipt.Outcome) Verdict {
		if string(r.Value) == "again" && r.DeliveryCount() < 3 {
			return Release
		}
		return VerdictOf(r, o)
	}
	p := stage.Must(NewShare(cfg))
	handled := make(chan string, 100)
	fail := stage.Must(stage.NewProducerConsumer(stage.MapFunc[string, string](func(_ context.Context, event string) (string, error) {
		handled <- event
		if event == "bad-1" {
			return "", errors.New("refused")
		}
		return event, nil
	}), stage.ProducerConsumerConfig[string]{Name: "fail"}))
	in := stage.Must(stage.NewProducer(p, stage.ProducerConfig[string]{Name: "source"}))
	out := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(context.Context, []string) error { return nil }), stage.ConsumerConfig{}))
	subscribe(t, fail, in, stage.SubscribeConfig{})
	subscribe(t, out, fail, stage.SubscribeConfig{})
	ended := make(chan error, 1)
	pipeline := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, in, fail, out))
	go func() { ended <- pipeline.Run(context.Background()) }()
	var got []string
	for range 6 {
		select {
		case v := <-handled:
			got = append(got, v)
		case <-time.After(30 * time.Second):
			t.Fatalf("only %q", got)
		}
	}
	slices.Sort(got)
	if want := []string{"a-1", "again-1", "again-2", "again-3", "b-1", "bad-1"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	eventually(t, "the verdicts", func() bool { s := p.Snapshot(); return s.Accepted == 3 && s.Rejected == 2 && s.Released == 2 })
	pipeline.Drain()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := p.Snapshot(); s.Poison != 1 || s.AckErrors != 0 || s.Unfinished != 0 || s.Records != 7 {
		t.Errorf("snapshot %+v", s)
	}
	// Nothing is left for the next member but what comes now.
	c.produce(topic, 0, "c")
	r := read(t, stage.Must(NewShare(cfg)))
	r.want("c-1")
	r.leave()
}

// shareMembers: three members share one partition.
func shareMembers(t *testing.T, c *cluster) {
	topic := c.topic("jobs", 1)
	cfg := c.shareConfig("g", topic)
	cfg.Size = 10
	var members []*reader
	var begun atomic.Int64
	two := make(chan struct{}) // members have work
	for range 3 {
		once := sync.OnceFunc(func() {
			if begun.Add(1) == 2 {
				close(two)
			}
		})
		members = append(members, readWith(t, stage.Must(NewShare(cfg)), func([]string) error {
			once()
			select {
			case <-two: // however late the others come, there is work for them
			case <-t.Context().Done():
			}
			time.Sleep(5 * time.Millisecond) // work
			return nil
		}))
	}
	var want []string
	for i := range 300 {
		v := fmt.Sprint(i)
		want = append(want, v+"-1")
		c.produce(topic, 0, v)
	}
	all := func() (list []string) {
		for _, m := range members {
			list = append(list, m.events()...)
		}
		return list
	}
	eventually(t, "all jobs", func() bool { return len(all()) >= len(want) })
	busy := 0
	for _, m := range members {
		m.leave()
		if len(m.events()) > 0 {
			busy++
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(all())); !slices.Equal(got, want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
	if busy < 2 {
		t.Errorf("%d members had work", busy)
	}
}

// shareKilled: what a member had is delivered to another one when its connection is gone.
func shareKilled(t *testing.T, c *cluster) {
	topic := c.topic("jobs", 1)
	c.produce(topic, 0, "a", "b", "c")
	cfg := c.shareConfig("g", topic)
	line := &cable{}
	victim := cfg
	victim.Options = append(victim.Options, kgo.Dialer(line.over(nil)))
	victim.CloseTimeout = 200 * time.Millisecond
	got, release := make(chan int, 1), make(chan struct{})
	var count atomic.Int64
	hung := readWith(t, stage.Must(NewShare(victim)), func(events []string) error {
		if count.Add(int64(len(events))) == 3 {
			got <- 3
		}
		<-release
		return nil
	})
	select {
	case <-got:
	case <-time.After(20 * time.Second):
		// The events may come in two deliveries, of which the first one holds the stage.
		if count.Load() == 0 {
			t.Fatal("the first member gets nothing")
		}
	}
	line.cut()
	begun := time.Now()
	heir := read(t, stage.Must(NewShare(cfg)))
	heir.want("a-2", "b-2", "c-2")
	t.Logf("delivered again after %v", time.Since(begun).Round(time.Millisecond))
	close(release)
	hung.pipeline.Stop(nil)
	<-hung.ended
	heir.leave()
}

// shareRenews: a record that takes longer than its lock lasts is not delivered to another
// member, since its lock is renewed; without that it is, which the embedded broker finds
// out late.
func shareRenews(t *testing.T, c *cluster, lock time.Duration, cases ...bool) {
	topic := c.topic("jobs", 1)
	c.produce(topic, 0, "slow")
	for _, renewed := range cases {
		group := fmt.Sprint("g-", renewed)
		cfg := c.shareConfig(group, topic)
		c.groupConfig(group, "share.record.lock.duration.ms", fmt.Sprint(lock.Milliseconds()))
		slow := cfg
		slow.RenewInterval = lock / 3
		if !renewed {
			slow.RenewInterval = time.Hour
		}
		begun, release := make(chan struct{}), make(chan struct{})
		member := stage.Must(NewShare(slow))
		first := readWith(t, member, func([]string) error {
			close(begun)
			<-release
			return nil
		})
		<-begun
		second := read(t, stage.Must(NewShare(cfg)))
		if renewed {
			time.Sleep(lock + lock/2) // longer than the lock would last
			if got := second.events(); len(got) > 0 {
				t.Errorf("the other member got %q although the lock was renewed", got)
			}
		} else {
			second.want("slow-2")
		}
		close(release)
		if s := member.Snapshot(); renewed == (s.Renewed == 0) {
			t.Errorf("renewed %v: %+v", renewed, s)
		}
		first.leave()
		second.leave()
		if s := member.Snapshot(); s.Accepted != 1 || renewed && s.AckErrors != 0 {
			t.Errorf("renewed %v: %+v", renewed, s)
		}
	}
}

// shareDrain: what was polled and not emitted is released, and another member has it at
// once.
func shareDrain(t *testing.T, c *cluster) {
	topic := c.topic("jobs", 1)
	var want []string
	for i := range 50 {
		c.produce(topic, 0, fmt.Sprint(i))
	}
	cfg := c.shareConfig("g", topic)
	p := stage.Must(NewShare(cfg))
	began, release := make(chan struct{}, 100), make(chan struct{})
	in := stage.Must(stage.NewProducer(p, stage.ProducerConfig[string]{}))
	var first []string
	out := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		began <- struct{}{}
		<-release
		first = append(first, events...)
		return nil
	}), stage.ConsumerConfig{}))
	subscribe(t, out, in, stage.SubscribeConfig{MaxDemand: 5, MinDemand: 1})
	pipeline := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, in, out))
	ended := make(chan error, 1)
	go func() { ended <- pipeline.Run(context.Background()) }()
	<-began
	// Drain returns at once: what the consumer asks for until the member has been told is
	// still for it.
	pipeline.Drain()
	eventually(t, "the member's drain", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.core.ended
	})
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r := read(t, stage.Must(NewShare(cfg)))
	eventually(t, "the rest", func() bool { return len(first)+len(r.events()) >= 50 })
	r.leave()
	if len(first) > 10 {
		t.Errorf("%d were handled before the end of the drain", len(first))
	}
	strip := func(v string) string { return v[:len(v)-2] }
	var got []string
	for _, v := range append(first, r.events()...) {
		got = append(got, strip(v))
	}
	for i := range 50 {
		want = append(want, fmt.Sprint(i))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d handled, of 50: %q", len(got), got)
	}
}
