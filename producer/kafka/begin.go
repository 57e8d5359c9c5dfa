package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// begin is called by the client, on a goroutine of its own, between the assignment of
// partitions and the first fetch: offsets are what the group has committed of them, and
// may be changed. An error has the client join again.
//
// With Start Newest the place where a group begins is committed before anything is read:
// a member that ends before its first commit would lose what has come meanwhile. Only a
// group that has committed nothing of a topic begins there. A partition without a commit in
// a topic of which others have one is new, and is read from its oldest record.
func (p *Producer[T]) begin(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if p.cfg.Start == Newest {
		if err := p.beginNewest(ctx, client, offsets); err != nil {
			return nil, fmt.Errorf("start position: %w", err)
		}
	}
	start := client.OptValue(kgo.ConsumeStartOffset)
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range offsets {
		for n, o := range partitions {
			// Where the client has to look for the place first it may be any record.
			if at := o.EpochOffset().Offset; at >= 0 && o != start {
				p.core.view(topicPartition{topic, n}).begin = at
			}
		}
	}
	return offsets, nil
}

// beginNewest replaces the offsets of partitions of which nothing is committed.
func (p *Producer[T]) beginNewest(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.Offset) error {
	var fresh []string // topics that have such a partition
	for topic, partitions := range offsets {
		for _, o := range partitions {
			if o.EpochOffset().Offset < 0 {
				fresh = append(fresh, topic)
				break
			}
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	committed, err := committedOf(ctx, client, p.cfg.Group)
	if err != nil {
		return err
	}
	ends, ids, err := endsOf(ctx, client, fresh)
	if err != nil {
		return err
	}
	starts := map[string]map[int32]int64{} // to commit
	for _, topic := range fresh {
		running := len(committed[topic]) > 0
		for n, o := range offsets[topic] {
			end, known := ends[topic][n]
			switch {
			case o.EpochOffset().Offset >= 0:
			case running:
				offsets[topic][n] = kgo.NewOffset().AtStart()
			case !known:
				return fmt.Errorf("topic %q, partition %d: the end is not known", topic, n)
			default:
				offsets[topic][n] = kgo.NewOffset().At(end)
			}
		}
		if !running {
			// All partitions, also those of members that join at the same time: for them
			// the group would look as if it had run before.
			starts[topic] = ends[topic]
		}
	}
	if len(starts) == 0 {
		return nil
	}
	if err := p.commitStarts(ctx, client, starts, ids); err != nil {
		return err
	}
	p.cfg.Logger.Info("kafka: group begins at the newest records", "group", p.cfg.Group, "offsets", starts)
	return nil
}

// committedOf returns what the group has committed, of all topics.
func committedOf(ctx context.Context, client *kgo.Client, group string) (map[string]map[int32]int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group, one.Topics = group, nil // all
	req.Groups = append(req.Groups, one)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	all := map[string]map[int32]int64{}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return nil, err
		}
		for _, t := range g.Topics {
			for _, part := range t.Partitions {
				if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
					return nil, fmt.Errorf("topic %q, partition %d: %w", t.Topic, part.Partition, err)
				}
				if part.Offset >= 0 {
					set(all, t.Topic, part.Partition, part.Offset)
				}
			}
		}
	}
	return all, nil
}

// endsOf returns the offsets after the newest records of all partitions of topics, and the
// topics' ids.
func endsOf(ctx context.Context, client *kgo.Client, topics []string) (map[string]map[int32]int64, map[string][16]byte, error) {
	ask := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		ask.Topics = append(ask.Topics, t)
	}
	known, err := ask.RequestWith(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	ids := map[string][16]byte{}
	for _, t := range known.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil || t.Topic == nil {
			return nil, nil, errors.Join(err, fmt.Errorf("topic %v", t.Topic))
		}
		ids[*t.Topic] = t.TopicID
		list := kmsg.NewListOffsetsRequestTopic()
		list.Topic = *t.Topic
		for _, part := range t.Partitions {
			one := kmsg.NewListOffsetsRequestTopicPartition()
			one.Partition, one.CurrentLeaderEpoch, one.Timestamp, one.MaxNumOffsets = part.Partition, -1, -1, 1
			list.Partitions = append(list.Partitions, one)
		}
		req.Topics = append(req.Topics, list)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	ends := map[string]map[int32]int64{}
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return nil, nil, fmt.Errorf("topic %q, partition %d: %w", t.Topic, part.Partition, err)
			}
			set(ends, t.Topic, part.Partition, part.Offset)
		}
	}
	return ends, ids, nil
}

// commitStarts commits as this member.
func (p *Producer[T]) commitStarts(ctx context.Context, client *kgo.Client, starts map[string]map[int32]int64, ids map[string][16]byte) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = p.cfg.Group
	req.MemberID, req.Generation = client.GroupMetadata()
	if id, _ := client.OptValue(kgo.InstanceID).(string); id != "" {
		req.InstanceID = &id
	}
	for topic, partitions := range starts {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, ids[topic]
		for n, offset := range partitions {
			part := kmsg.NewOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset, part.LeaderEpoch = n, offset, -1
			t.Partitions = append(t.Partitions, part)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return fmt.Errorf("topic %q, partition %d: %w", t.Topic, part.Partition, err)
			}
		}
	}
	return nil
}

// set sets m[topic][partition].
func set(m map[string]map[int32]int64, topic string, partition int32, offset int64) {
	if m[topic] == nil {
		m[topic] = map[int32]int64{}
	}
	m[topic][partition] = offset
}
