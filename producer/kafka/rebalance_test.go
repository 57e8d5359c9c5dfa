package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/stage"
)

// slowly returns a consumer that takes a while for each batch.
func (w *world) slowly(member string, d time.Duration) stage.ConsumerFunc[string] {
	return func(ctx context.Context, events []string) error {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
		w.done(member, events...)
		return nil
	}
}

// A second member takes half of the partitions; what is in flight is finished
// and committed first, so that nothing is delivered twice.
func TestRebalanceWithTwoMembers(t *testing.T) { virtually(t, 4, rebalanceWithTwoMembers) }

func rebalanceWithTwoMembers(t *testing.T, w *world) {
	w.produce(300, 0, 1, 2, 3)
	cfg := w.config()
	cfg.CommitInterval = time.Minute
	first := w.join(cfg, w.slowly("first", 200*time.Millisecond), stage.SubscribeConfig{MaxDemand: 20})
	w.wait("some", func() bool { return len(w.handled) >= 100 })
	second := w.join(cfg, w.slowly("second", 200*time.Millisecond), stage.SubscribeConfig{MaxDemand: 20})
	w.wait("the second member", func() bool { return len(w.order["second"]) > 0 })
	if a, b := len(first.producer.Snapshot().Partitions), len(second.producer.Snapshot().Partitions); a+b != 4 || a == 0 || b == 0 {
		t.Errorf("the members have %d and %d partitions", a, b)
	}
	w.waitAll()
	first.leave()
	second.leave()
	if repeated := w.check(); repeated != 0 {
		t.Errorf("%d were delivered twice", repeated)
	}
	if left := first.producer.Snapshot().LeftInFlight; left != 0 {
		t.Errorf("%d were left in flight", left)
	}
}

// A handler that hangs holds a rebalance up for RevokeTimeout and no longer.
func TestRevokeDoesNotWaitForEver(t *testing.T) { virtually(t, 2, revokeDoesNotWaitForEver) }

func revokeDoesNotWaitForEver(t *testing.T, w *world) {
	w.produce(50, 0, 1)
	cfg := w.config()
	cfg.RevokeTimeout = 3 * time.Second
	hung := make(chan struct{})
	first := w.join(cfg, stage.ConsumerFunc[string](func(ctx context.Context, events []string) error {
		select {
		case <-hung:
		case <-ctx.Done():
		}
		return ctx.Err()
	}), stage.SubscribeConfig{MaxDemand: 10})
	w.wait("the first member", func() bool { return first.producer.Snapshot().Records > 0 })
	second := w.join(cfg, w.handler("second"), stage.SubscribeConfig{})
	w.wait("the second member's partition", func() bool { return len(w.handled) >= 50 })
	// Nothing was ever finished by the first, so the second one gets all of
	// its partition, from the start.
	first.pipeline.Stop(nil)
	_ = first.ended()
	w.waitAll()
	second.leave()
	w.check()
}

// Members come, go and are killed at random; nothing is lost and no commit
// passes what is unfinished, which the broker's commits are checked for.
func TestMembersComeAndGo(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			virtually(t, 5, func(t *testing.T, w *world) { comeAndGo(t, w, seed) })
		})
	}
}

func comeAndGo(t *testing.T, w *world, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	w.produce(600, 0, 1, 2, 3, 4)
	stop := make(chan struct{})
	var reaper sync.WaitGroup
	if w.broker != nil {
		reaper.Go(func() { w.expireSessions(stop) })
	}
	defer reaper.Wait()
	defer close(stop)
	var members []*member
	join := func(i int) {
		cfg := w.config()
		cfg.CommitInterval = time.Duration(50+r.IntN(2000)) * time.Millisecond
		cfg.Window = 20 + r.IntN(200)
		cfg.RevokeTimeout = time.Duration(1+r.IntN(3000)) * time.Millisecond
		// The broker of the test begins its wait for a rebalance anew with
		// each member that joins, so that joins which time out and are tried
		// again, each at its own time, would keep it waiting without end.
		cfg.Options = append(cfg.Options, kgo.RequestTimeoutOverhead(5*time.Minute))
		sink := w.slowly(fmt.Sprint("m", i), time.Duration(r.IntN(300))*time.Millisecond)
		members = append(members, w.join(cfg, sink, stage.SubscribeConfig{MaxDemand: 5 + r.IntN(60)}))
	}
	join(0)
	for i := 1; i < 8; i++ {
		<-time.After(time.Duration(r.IntN(4000)) * time.Millisecond)
		at := r.IntN(len(members))
		switch {
		case len(members) < 2 || r.IntN(2) == 0:
			join(i)
		case r.IntN(2) == 0:
			members[at].leave()
			members = append(members[:at], members[at+1:]...)
		default:
			members[at].kill()
			members = append(members[:at], members[at+1:]...)
		}
	}
	w.waitAll()
	for _, m := range members {
		m.leave()
	}
	repeated := w.check()
	t.Logf("seed %d: %d of %d delivered twice", seed, repeated, len(w.produced))
}

// expireSessions throws out members that are gone, as a broker does after a
// session timeout: the one of the tests forgets to for a member whose connection
// broke while it was joining. It may hit a member that is just joining as well, which
// has to join again.
func (w *world) expireSessions(stop <-chan struct{}) {
	client, err := kgo.NewClient(append(w.broker.Options(), kgo.SeedBrokers(w.broker.Addrs()...))...)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer client.Close()
	tick := time.NewTicker(45 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		var live []string
		w.mu.Lock()
		for _, m := range w.members {
			if m.fate == "" {
				live = append(live, m.producer.memberID())
			}
		}
		w.mu.Unlock()
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = "g"
		if info := w.broker.Cluster.GroupInfo("g"); info != nil {
			for _, m := range info.Members {
				if !slices.Contains(live, m.MemberID) {
					gone := kmsg.NewLeaveGroupRequestMember()
					gone.MemberID = m.MemberID
					req.Members = append(req.Members, gone)
				}
			}
		}
		if len(req.Members) > 0 {
			if _, err := req.RequestWith(context.Background(), client); err != nil {
				w.t.Error(err)
			}
		}
	}
}

func (p *Producer[T]) memberID() string {
	p.mu.Lock()
	client := p.client
	p.mu.Unlock()
	if client == nil {
		return ""
	}
	id, _ := client.GroupMetadata()
	return id
}
