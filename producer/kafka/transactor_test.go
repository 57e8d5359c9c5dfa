package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

func TestTransactorExactlyOnceThroughKills(t *testing.T) {
	exactlyOnce(t, embedded(t), ClassicProtocol, 10, 4_000)
}
func TestTransactorAbortsAtItsStart(t *testing.T) { transactorAborts(t, embedded(t)) }
func TestTransactorDeadLetters(t *testing.T)      { transactorDead(t, embedded(t)) }
func TestTransactorIsFenced(t *testing.T)         { transactorFenced(t, embedded(t)) }

// double is a transform with two results for each record.
func double(_ context.Context, batch []*kgo.Record) (out []*kgo.Record, _ error) {
	for _, r := range batch {
		for _, s := range []string{"x", "y"} {
			out = append(out, &kgo.Record{Key: r.Key, Value: []byte(s + string(r.Value))})
		}
	}
	return out, nil
}

// transactorConfig is that of a member that writes from one topic to another.
func (c *cluster) transactorConfig(group, id, from, to string) TransactorConfig {
	return TransactorConfig{
		Brokers: c.addrs, Topics: []string{from}, Group: c.name(group), ID: c.name(id), Topic: to,
		Transform: double, Options: []kgo.Opt{kgo.FetchMaxWait(200 * time.Millisecond)},
	}
}

// values reads the committed records of a topic until there are n and then as long as
// more come.
func (c *cluster) values(topic string, n int) []string {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	var list []string
	for wait := 60 * time.Second; ; {
		ctx, cancel := context.WithTimeout(c.t.Context(), wait)
		fetches := client.PollFetches(ctx)
		cancel()
		for _, r := range fetches.Records() {
			list = append(list, string(r.Value))
		}
		if ctx.Err() != nil && fetches.Empty() {
			return list
		}
		if len(list) >= n {
			wait = time.Second
		}
	}
}

// exactlyOnce kills members at random moments, by cutting their connections, and starts
// them again with the same id.
func exactlyOnce(t *testing.T, c *cluster, protocol Protocol, kills, n int) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	from, to := c.topic("orders", 6), c.topic("doubled", 3)
	var want []string
	for i := range n {
		v := fmt.Sprint(i)
		want = append(want, "x"+v, "y"+v)
	}
	var producing sync.WaitGroup
	producing.Go(func() {
		for i := range n {
			if c.send(&kgo.Record{Topic: from, Partition: int32(i % 6), Value: fmt.Append(nil, i)}); i%20 == 0 {
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
	type life struct {
		cable  *cable
		cancel context.CancelFunc
		ended  chan struct{}
	}
	start := func(id int) *life {
		l := &life{cable: &cable{silent: !c.real}, ended: make(chan struct{})}
		t.Cleanup(l.cable.hangUp)
		cfg := c.transactorConfig("g", fmt.Sprint("member-", id), from, to)
		cfg.Size, cfg.CloseTimeout, cfg.Protocol = 50, 100*time.Millisecond, protocol
		cfg.Options = append(cfg.Options, kgo.Dialer(l.cable.over(nil)))
		if protocol == ClassicProtocol {
			cfg.Options = append(cfg.Options, kgo.SessionTimeout(1500*time.Millisecond), kgo.HeartbeatInterval(200*time.Millisecond))
		}
		if !c.real {
			// When the leader of a group has died before it has assigned the partitions, the
			// embedded broker also throws out the member that waits for its part, and does not
			// answer it: the group is held up until that request has timed out, which is a
			// minute by default. Apache Kafka keeps a member that waits.
			cfg.Options = append(cfg.Options, kgo.RebalanceTimeout(2*time.Second), kgo.RequestTimeoutOverhead(2*time.Second))
		}
		ctx, cancel := context.WithCancel(context.Background())
		l.cancel = cancel
		member := stage.Must(NewTransactor(cfg))
		go func() {
			defer close(l.ended)
			if err := member.Run(ctx); err != nil {
				t.Errorf("Run returns %v", err)
			}
		}()
		return l
	}
	members := []*life{start(0), start(1)}
	for range kills {
		time.Sleep(time.Duration(200+random.IntN(600)) * time.Millisecond)
		i := random.IntN(2)
		members[i].cable.cut()
		members[i].cancel()
		<-members[i].ended
		members[i] = start(i)
	}
	producing.Wait()
	got := c.values(to, len(want))
	for _, m := range members {
		m.cancel()
		<-m.ended
	}
	counts := map[string]int{}
	twice, lost := 0, 0
	for _, v := range got {
		if counts[v]++; counts[v] > 1 {
			twice++
		}
	}
	for _, v := range want {
		if counts[v] == 0 {
			lost++
		}
	}
	if twice+lost > 0 || len(got) != len(want) {
		t.Errorf("%d results, want %d: %d twice, %d lost", len(got), len(want), twice, lost)
	}
}

// transactorAborts: the start of a member ends the transaction that a dead one with its ID
// has left open, although there is nothing to transform.
func transactorAborts(t *testing.T, c *cluster) {
	from, to := c.topic("orders", 1), c.topic("doubled", 1)
	cfg := c.transactorConfig("g", "member", from, to)
	dead, err := kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.TransactionalID(cfg.ID), kgo.TransactionTimeout(10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := dead.ProduceSync(t.Context(), &kgo.Record{Topic: to, Value: []byte("left open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	dead.CloseAllowingRebalance()
	c.produce(to, 0, "behind")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	member := stage.Must(NewTransactor(cfg))
	go func() { ended <- member.Run(ctx) }()
	if got := c.values(to, 1); !slices.Equal(got, []string{"behind"}) {
		t.Errorf("readers get %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returns %v", err)
	}
}

// transactorDead: an outage is waited for, a record that fails alone is a dead letter in
// its transaction, and the others of its batch go on.
func transactorDead(t *testing.T, c *cluster) {
	from, to, dead := c.topic("orders", 1), c.topic("doubled", 1), c.topic("dead", 1)
	cfg := c.transactorConfig("g", "member", from, to)
	cfg.DeadTopic, cfg.Retry = dead, retry.Policy{MaxAttempts: 2, Backoff: time.Millisecond}
	outage := 3
	cfg.Transform = func(ctx context.Context, batch []*kgo.Record) ([]*kgo.Record, error) {
		if outage > 0 {
			outage--
			return nil, retry.Later(errors.New("away"), 10*time.Millisecond)
		}
		for _, r := range batch {
			switch string(r.Value) {
			case "bad":
				return nil, errors.New("no such order")
			case "worse":
				panic("cannot stand it")
			}
		}
		return double(ctx, batch)
	}
	c.produce(from, 0, "a", "bad", "b", "worse", "c")
	member := stage.Must(NewTransactor(cfg))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- member.Run(ctx) }()
	got := slices.Sorted(slices.Values(c.values(to, 6)))
	if want := []string{"xa", "xb", "xc", "ya", "yb", "yc"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := c.values(dead, 2); !slices.Equal(got, []string{"bad", "worse"}) {
		t.Errorf("dead %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returns %v", err)
	}
	if err := member.Run(t.Context()); err == nil {
		t.Error("a second Run is allowed")
	}
	s := member.Snapshot()
	if s.Records != 5 || s.Written != 6 || s.Dead != 2 || s.Failed != 2 || !strings.Contains(s.LastError, "transform") {
		t.Errorf("snapshot %+v", s)
	}
	// The offset of the next record: the mark of the transaction is in the other topics.
	if at := c.committed(cfg.Group, from, 0); at != 5 {
		t.Errorf("committed %d", at)
	}
}

// transactorFenced: of two members with one id the later one stays.
func transactorFenced(t *testing.T, c *cluster) {
	from, to := c.topic("orders", 2), c.topic("doubled", 1)
	cfg := c.transactorConfig("g", "member", from, to)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 2)
	// A member is fenced when it writes, so that both need records.
	stop := make(chan struct{})
	var producing sync.WaitGroup
	producing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				c.send(&kgo.Record{Topic: from, Partition: int32(i % 2), Value: []byte("v")})
			}
		}
	})
	for range 2 {
		go func() { ended <- stage.Must(NewTransactor(cfg)).Run(ctx) }()
	}
	select {
	case err := <-ended:
		if !errors.Is(err, ErrFenced) {
			t.Errorf("Run returns %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("none of the members ends")
	}
	close(stop)
	producing.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the other Run returns %v", err)
	}
}
