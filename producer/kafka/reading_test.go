package kafka

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/stage"
)

func TestReadCommitted(t *testing.T)          { readCommitted(t, embedded(t)) }
func TestReadUncommitted(t *testing.T)        { readUncommitted(t, embedded(t)) }
func TestStartByTime(t *testing.T)            { startByTime(t, embedded(t)) }
func TestResetAgo(t *testing.T)               { resetAgo(t, embedded(t)) }
func TestPauseOfPartitions(t *testing.T)      { pauseOfPartitions(t, embedded(t)) }
func TestTopicPatterns(t *testing.T)          { topicPatterns(t, embedded(t), ClassicProtocol) }
func TestServerProtocol(t *testing.T)         { serverProtocol(t, embedded(t)) }
func TestServerProtocolPatterns(t *testing.T) { topicPatterns(t, embedded(t), ServerProtocol) }

// readCommitted: nothing of an aborted transaction is delivered, and the group's offset
// gets past it and past the marks, so that the lag becomes 0.
func readCommitted(t *testing.T, c *cluster) {
	topic := c.topic("transactions", 1)
	c.produce(topic, 0, "a")              // 0
	c.transact(true, topic, 0, "b", "c")  // 1, 2 and the mark 3
	c.transact(false, topic, 0, "d", "e") // 4, 5 and the mark 6
	cfg := c.config("g", topic)
	cfg.ReadCommitted = true
	p := stage.Must(NewProducer(cfg))
	r := read(t, p)
	r.want("a", "b", "c")
	eventually(t, "the commit past the aborted records", func() bool { return c.committed(cfg.Group, topic, 0) == 7 })
	s := p.Snapshot()
	if len(s.Partitions) != 1 || s.Partitions[0].Lag != 0 || s.Partitions[0].Head != 7 || s.Records != 3 {
		t.Errorf("snapshot %+v", s)
	}
	c.produce(topic, 0, "f")
	r.want("a", "b", "c", "f")
	r.leave()
	if at := c.committed(cfg.Group, topic, 0); at != 8 {
		t.Errorf("committed %d, want 8", at)
	}
}

func readUncommitted(t *testing.T, c *cluster) {
	topic := c.topic("transactions", 1)
	c.transact(false, topic, 0, "a") // 0 and the mark 1
	c.transact(true, topic, 0, "b")  // 2 and the mark 3
	cfg := c.config("g", topic)
	p := stage.Must(NewProducer(cfg))
	r := read(t, p)
	r.want("a", "b")
	eventually(t, "the commit past the marks", func() bool { return c.committed(cfg.Group, topic, 0) == 4 })
	noLag := func() bool {
		s := p.Snapshot()
		return len(s.Partitions) == 1 && s.Partitions[0].Lag == 0
	}
	eventually(t, "no lag", noLag)
	r.leave()
	// Nor has a member that has read nothing itself.
	p = stage.Must(NewProducer(cfg))
	r = read(t, p)
	eventually(t, "no lag of the next member", noLag)
	c.transact(false, topic, 0, "c") // 4 and the mark 5
	r.want("c")
	eventually(t, "no lag behind the next mark", func() bool { return c.committed(cfg.Group, topic, 0) == 6 && noLag() })
	r.leave()
}

// hours writes a record for each of the last hours, the oldest first, named by its age.
func hours(c *cluster, topic string, n int) {
	now := time.Now()
	for age := n; age >= 0; age-- {
		c.send(&kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%dh", age), Timestamp: now.Add(-time.Duration(age) * time.Hour)})
	}
}

func startByTime(t *testing.T, c *cluster) {
	topic := c.topic("hours", 1)
	hours(c, topic, 5)
	for group, set := range map[string]func(*Config[string]){
		"at":  func(cfg *Config[string]) { cfg.StartAt = time.Now().Add(-150 * time.Minute) },
		"ago": func(cfg *Config[string]) { cfg.StartAgo = 150 * time.Minute },
	} {
		cfg := c.config(group, topic)
		set(&cfg)
		r := read(t, stage.Must(NewProducer(cfg)))
		r.want("2h", "1h", "0h")
		eventually(t, "the commit", func() bool { return c.committed(cfg.Group, topic, 0) == 6 })
		r.leave()
		// What the group has committed counts, not the time.
		cfg.StartAt, cfg.StartAgo = time.Time{}, 24*time.Hour
		again := read(t, stage.Must(NewProducer(cfg)))
		again.leave()
		if got := again.events(); len(got) != 0 {
			t.Errorf("%s: again %q", group, got)
		}
	}
}

// resetAgo: the broker has lost what the group has committed.
func resetAgo(t *testing.T, c *cluster) {
	topic := c.topic("hours", 1)
	hours(c, topic, 5)
	cfg := c.config("g", topic)
	cfg.ResetAgo = 90 * time.Minute
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, Partition: 0, At: 100, LeaderEpoch: -1})
	if err := c.admin.CommitAllOffsets(t.Context(), cfg.Group, o); err != nil {
		t.Fatal(err)
	}
	r := read(t, stage.Must(NewProducer(cfg)))
	r.want("1h", "0h")
	r.leave()
}

func pauseOfPartitions(t *testing.T, c *cluster) {
	topic := c.topic("pauses", 3)
	cfg := c.config("g", topic)
	p := stage.Must(NewProducer(cfg))
	p.Pause(topic, 1) // before the start
	for n := range int32(3) {
		c.produce(topic, n, fmt.Sprintf("%d-a", n))
	}
	r := read(t, p)
	r.want("0-a", "2-a")
	p.Pause(topic, 0)
	eventually(t, "the pause", func() bool {
		paused := 0
		for _, s := range p.Snapshot().Partitions {
			if s.Paused && s.Held {
				paused++
			}
		}
		return paused == 2
	})
	for n := range int32(3) {
		c.produce(topic, n, fmt.Sprintf("%d-b", n))
	}
	r.want("0-a", "2-a", "2-b")
	time.Sleep(300 * time.Millisecond) // a record that must not come has no signal
	r.want("0-a", "2-a", "2-b")
	p.Resume(topic, 0, 1)
	r.want("0-a", "2-a", "2-b", "1-a", "0-b", "1-b")
	r.leave()
	for n := range int32(3) {
		if at := c.committed(cfg.Group, topic, n); at != 2 {
			t.Errorf("partition %d: committed %d", n, at)
		}
	}
}

func topicPatterns(t *testing.T, c *cluster, protocol Protocol) {
	c.produce(c.topic("log-a", 1), 0, "a")
	c.produce(c.topic("log-b", 1), 0, "b")
	c.produce(c.topic("other-log-c", 1), 0, "c")
	c.produce(c.topic("log-secret", 1), 0, "secret")
	cfg := c.config("g")
	cfg.Protocol = protocol
	cfg.TopicPatterns, cfg.NotTopics = []string{"log-.*" + c.suffix}, []string{"log-secret.*"}
	cfg.Options = []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond), kgo.MetadataMinAge(100 * time.Millisecond)}
	p := stage.Must(NewProducer(cfg))
	r := read(t, p)
	r.want("a", "b")
	c.produce(c.topic("log-late", 2), 1, "late")
	r.want("a", "b", "late")
	r.leave()
	for _, s := range []string{"log-a", "log-b"} {
		if at := c.committed(cfg.Group, c.name(s), 0); at != 1 {
			t.Errorf("%s: committed %d", s, at)
		}
	}
}

// serverProtocol: the broker assigns the partitions of two members. The one that loses
// some goes on with the others and their commits.
func serverProtocol(t *testing.T, c *cluster) {
	topic := c.topic("served", 4)
	cfg := c.config("g", topic)
	cfg.Protocol = ServerProtocol
	first := stage.Must(NewProducer(cfg))
	a := read(t, first)
	var all []string
	round := func(name string) {
		for n := range int32(4) {
			v := fmt.Sprintf("%s-%d", name, n)
			c.produce(topic, n, v)
			all = append(all, v)
		}
	}
	round("one")
	a.want(all...)
	second := stage.Must(NewProducer(cfg))
	b := read(t, second)
	has := func(p *Producer[string]) int { return len(p.Snapshot().Partitions) }
	eventually(t, "a share of the partitions", func() bool { return has(first) == 2 && has(second) == 2 })
	commits := func(want int64) {
		t.Helper()
		eventually(t, "commits of all partitions", func() bool {
			for n := range int32(4) {
				if c.committed(cfg.Group, topic, n) != want {
					return false
				}
			}
			return true
		})
	}
	round("two")
	eventually(t, "the second round", func() bool { return len(a.events())+len(b.events()) >= 8 })
	commits(2) // while both go on, not only at the end
	b.leave()
	eventually(t, "all partitions", func() bool { return has(first) == 4 })
	round("three")
	eventually(t, "the third round", func() bool { return len(a.events())+len(b.events()) >= 12 })
	commits(3)
	a.leave()
	got := slices.Sorted(slices.Values(append(a.events(), b.events()...)))
	if want := slices.Sorted(slices.Values(all)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	groups, err := c.admin.DescribeConsumerGroups(t.Context(), cfg.Group)
	if err != nil || groups[cfg.Group].Err != nil {
		t.Errorf("it is no group of the server's protocol: %v, %v", err, groups[cfg.Group].Err)
	}
}
