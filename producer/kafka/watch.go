package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// watchEvery is how often the brokers are asked for the topics and their newest records.
	watchEvery = 2 * time.Second
	// watchTimeout bounds that, so that a broker that does not respond is logged within
	// five seconds.
	watchTimeout = 4 * time.Second
	// lookAgain is when they are asked again if a broker has refused a partition.
	lookAgain = time.Second
	// maxProbes bounds the partitions at which one look reads itself.
	maxProbes = 8
)

// eyesFor returns the watcher's client, which has connections of its own: a fetch would
// wait behind those of the group's client, for which the broker waits for records. Hooks of
// the program would be called for both, which they may not expect; then there is one client.
func (c *Config[T]) eyesFor(client *kgo.Client) *kgo.Client {
	if hooks, _ := client.OptValue(kgo.WithHooks).([]kgo.Hook); len(hooks) > 2 { // two are ours
		return client
	}
	eyes, err := kgo.NewClient(append(slices.Clone(c.Options),
		kgo.SeedBrokers(c.Brokers...), kgo.MaxDecompressBatchBytes(maxDecompressed))...)
	if err != nil {
		return client // the options are of use with a group only
	}
	return eyes
}

// watch is the watcher's goroutine. The client repeats what fails, without end and without
// a word; the watcher asks the same of the brokers, once, and so learns why records do not
// come, and how many there are. It ends with the committer.
func (p *Producer[T]) watch() {
	p.eyes = p.cfg.eyesFor(p.client)
	if p.eyes != p.client {
		defer p.eyes.Close()
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		p.look(p.committing)
		var again <-chan time.Time
		if p.suspects() {
			again = time.After(lookAgain)
		}
		select {
		case <-p.commitStop:
			return
		case <-tick.C:
		case <-again:
		case <-p.looking:
		}
	}
}

// lookSoon has the watcher look now. It may be called from any goroutine.
func (p *Producer[T]) lookSoon() {
	select {
	case p.looking <- struct{}{}:
	default:
	}
}

// look asks once.
func (p *Producer[T]) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	all := place{topicPartition{"", everywhere}, doReach}
	topics, err := p.describe(ctx)
	if p.committing.Err() != nil {
		return // at the end
	}
	if err != nil {
		p.note(all, err, true)
		return
	}
	p.over(all)
	for _, t := range topics {
		p.lookAt(t)
	}
	leaders := p.leaders(topics)
	p.measureEnds(ctx, leaders)
	p.probe(leaders)
	p.expire()
}

// describe returns what the cluster says about the topics.
func (p *Producer[T]) describe(ctx context.Context) ([]kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range p.topics() {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	if len(req.Topics) == 0 {
		req.Topics = []kmsg.MetadataRequestTopic{} // none: nil is all
	}
	resp, err := p.askAny(ctx, req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse).Topics, nil
}

// topics returns the names of the topics: those of the config, unless they are patterns,
// and those of which this member has partitions.
func (p *Producer[T]) topics() (names []string) {
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, name := range p.cfg.Topics {
		add(name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.core.parts {
		add(key.topic)
	}
	return names
}

// askAny asks one broker after the other, without the client's retries, which would hide
// why they fail. The error is the first one.
func (p *Producer[T]) askAny(ctx context.Context, req *kmsg.MetadataRequest) (kmsg.Response, error) {
	brokers := append(p.eyes.DiscoveredBrokers(), p.eyes.SeedBrokers()...)
	limit := max(watchTimeout/time.Duration(max(1, len(brokers))), 500*time.Millisecond)
	var first error
	for _, b := range brokers {
		each, cancel := context.WithTimeout(ctx, limit)
		// The client writes to a request, also after the time is over.
		own := *req
		resp, err := b.Request(each, &own)
		cancel()
		if err == nil {
			return resp, nil
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no response within %v: %w", limit, err)
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if first == nil {
		first = errors.New("no broker is known")
	}
	return nil, first
}

// lookAt notes whether a topic is there, and has the client begin anew with one that was
// deleted and made again: the client goes on with the old one, which is gone for good.
func (p *Producer[T]) lookAt(t kmsg.MetadataResponseTopic) {
	if t.Topic == nil {
		return
	}
	name := *t.Topic
	at := place{topicPartition{name, everywhere}, doDescribe}
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		p.note(at, err, true)
		return
	}
	p.over(at)
	p.mu.Lock()
	was, known := p.ids[name]
	again := known && was != t.TopicID || p.stale[name]
	p.ids[name] = t.TopicID
	delete(p.stale, name)
	p.mu.Unlock()
	if again {
		p.renew(name)
	}
}

// renew has the client forget a topic and take it up again. What was read of the old one is
// not committed: those offsets mean nothing in the new one.
func (p *Producer[T]) renew(topic string) {
	p.cfg.Logger.Warn("kafka: topic was deleted and made again; it is read from its start position", "group", p.cfg.Group, "topic", topic)
	p.takeSlot(context.Background()) // it is never held longer than CommitTimeout
	p.mu.Lock()
	var list []topicPartition
	for key := range p.core.parts {
		if key.topic == topic {
			list = append(list, key)
		}
	}
	p.stats.Recreated++
	paused := p.core.forget(list)
	for _, key := range list {
		p.troubles.forget(key)
	}
	p.release(orders{settled: p.core.ending == 0}) // it also unlocks
	p.freeSlot()
	if len(paused) > 0 {
		p.client.ResumeFetchPartitions(byTopic(paused))
	}
	p.client.PurgeTopicsFromClient(topic)
	if len(p.cfg.TopicPatterns) == 0 {
		p.client.AddConsumeTopics(topic) // one that matches a pattern is found
	}
}

// leader is a partition of this member and who has it.
type leader struct {
	topicPartition
	id     [16]byte // of the topic
	broker int32
}

// leaders returns the leader of each partition of this member, and notes those that have
// none.
func (p *Producer[T]) leaders(topics []kmsg.MetadataResponseTopic) map[topicPartition]leader {
	all := map[topicPartition]leader{}
	for _, t := range topics {
		if t.Topic == nil {
			continue
		}
		for _, part := range t.Partitions {
			key := topicPartition{*t.Topic, part.Partition}
			p.mu.Lock()
			mine := p.core.parts[key] != nil
			p.mu.Unlock()
			if !mine {
				continue
			}
			at := place{key, doDescribe}
			err := kerr.ErrorForCode(part.ErrorCode)
			if err == nil && part.Leader < 0 {
				err = kerr.LeaderNotAvailable
			}
			// A replica that is away does not keep anyone from reading.
			if err != nil && !errors.Is(err, kerr.ReplicaNotAvailable) {
				p.note(at, err, true)
				continue
			}
			p.over(at)
			all[key] = leader{key, t.TopicID, part.Leader}
		}
	}
	return all
}

// measureEnds asks the leaders for the first and the last offsets of their partitions, all
// at once.
func (p *Producer[T]) measureEnds(ctx context.Context, leaders map[topicPartition]leader) {
	brokers := map[int32][]leader{}
	for _, l := range leaders {
		brokers[l.broker] = append(brokers[l.broker], l)
	}
	var asking sync.WaitGroup
	for id, list := range brokers {
		asking.Go(func() {
			oldest, _ := p.listOffsets(ctx, id, list, -2)
			ends, err := p.listOffsets(ctx, id, list, -1)
			now := time.Now()
			if err != nil && p.committing.Err() == nil {
				for _, l := range list {
					p.note(place{l.topicPartition, doDescribe}, err, true)
				}
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, l := range list {
				end, ok := ends[l.topicPartition]
				if !ok || p.core.parts[l.topicPartition] == nil {
					continue
				}
				first, ok := oldest[l.topicPartition]
				if !ok {
					first = unknown
				}
				p.core.observe(l.topicPartition, first, end)
			}
			p.looked = now
		})
	}
	asking.Wait()
}

// listOffsets asks one broker for the offset of a time in partitions: -1 for the end, as
// far as it can be read, -2 for the start.
func (p *Producer[T]) listOffsets(ctx context.Context, broker int32, list []leader, at int64) (map[topicPartition]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	if p.core.committedOnly {
		req.IsolationLevel = 1
	}
	byTopic := map[string]int{}
	for _, l := range list {
		i, ok := byTopic[l.topic]
		if !ok {
			i = len(req.Topics)
			byTopic[l.topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = l.topic
			req.Topics = append(req.Topics, t)
		}
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.CurrentLeaderEpoch, part.Timestamp, part.MaxNumOffsets = l.partition, -1, at, 1
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
	}
	resp, err := p.eyes.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	found := map[topicPartition]int64{}
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, part := range t.Partitions {
			// A leader that has just changed is no trouble yet: the next look finds the new one.
			if kerr.ErrorForCode(part.ErrorCode) == nil {
				found[topicPartition{t.Topic, part.Partition}] = part.Offset
			}
		}
	}
	return found, nil
}

// expire ends the troubles of polls that were not repeated: what goes on is seen by the
// watcher.
func (p *Producer[T]) expire() {
	now := time.Now()
	var old []place
	p.mu.Lock()
	for at, one := range p.troubles {
		if at.doing == doPoll && now.Sub(one.last) >= logEvery {
			old = append(old, at)
		}
	}
	p.mu.Unlock()
	for _, at := range old {
		p.over(at)
	}
}
