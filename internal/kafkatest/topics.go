package kafkatest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// administrator returns the client with which the kit asks the brokers.
func (c *Cluster) administrator() *kadm.Client {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admin == nil {
		client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			c.t.Fatal(err)
		}
		c.admin = client
	}
	return kadm.NewClient(c.admin)
}

// Topic makes a topic with a name of its own, and with configs of the form key=value. Its
// replicas are as many as the cluster has brokers, up to three. It is deleted at the end of
// the test.
func (c *Cluster) Topic(partitions int, configs ...string) string {
	c.t.Helper()
	name := fresh("topic")
	c.Create(name, partitions, configs...)
	if c.script == nil { // brokers of one test go with all they have
		c.t.Cleanup(func() { c.Delete(name) })
	}
	return name
}

// Create makes a topic, and waits until all brokers know it.
func (c *Cluster) Create(name string, partitions int, configs ...string) {
	c.t.Helper()
	ctx, cancel := patience()
	defer cancel()
	settings := map[string]*string{}
	for _, pair := range configs {
		key, value, _ := strings.Cut(pair, "=")
		settings[key] = &value
	}
	admin := c.administrator()
	made, err := admin.CreateTopic(ctx, int32(partitions), -1, settings, name)
	if err != nil || made.Err != nil {
		c.t.Fatalf("topic %s: %v %v", name, err, made.Err)
	}
	for ctx.Err() == nil {
		if found, err := admin.ListTopics(ctx, name); err == nil && led(found[name], partitions) {
			// A broker knows a partition's leader before it has the partition. A client that
			// asks between the two waits for five seconds until it asks again.
			if begins, err := admin.ListStartOffsets(ctx, name); err == nil && begins.Error() == nil {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Fatalf("topic %s does not come", name)
}

// led reports whether all partitions of a topic have a leader.
func led(topic kadm.TopicDetail, partitions int) bool {
	if topic.Err != nil || len(topic.Partitions) != partitions {
		return false
	}
	for _, p := range topic.Partitions {
		if p.Err != nil || p.Leader < 0 {
			return false
		}
	}
	return true
}

// Delete deletes a topic.
func (c *Cluster) Delete(name string) {
	c.t.Helper()
	ctx, cancel := patience()
	defer cancel()
	if _, err := c.administrator().DeleteTopic(ctx, name); err != nil {
		c.t.Errorf("topic %s is not deleted: %v", name, err)
	}
}

// AddPartitions makes a topic have n partitions more.
func (c *Cluster) AddPartitions(name string, n int) {
	c.t.Helper()
	ctx, cancel := patience()
	defer cancel()
	if _, err := c.administrator().CreatePartitions(ctx, n, name); err != nil {
		c.t.Fatal(err)
	}
}

// Produce writes n records to each partition of a topic. The value of the record with
// offset o on partition p of a fresh topic is "p/o", its key "k" and o modulo keys.
func (c *Cluster) Produce(topic string, partitions, n, keys int) {
	c.t.Helper()
	ctx, cancel := patience()
	defer cancel()
	records := make([]*kgo.Record, 0, n*partitions)
	for o := range n {
		for p := range partitions {
			records = append(records, &kgo.Record{
				Topic: topic, Partition: int32(p), Key: fmt.Appendf(nil, "k%d", o%keys), Value: fmt.Appendf(nil, "%d/%d", p, o),
			})
		}
	}
	c.Write(ctx, records...)
}

// Committed returns a group's offsets on a topic by partition; a partition on which it has
// committed nothing is not there.
func (c *Cluster) Committed(group, topic string) map[int32]int64 {
	c.t.Helper()
	ctx, cancel := patience()
	defer cancel()
	offsets, err := c.administrator().FetchOffsets(ctx, group)
	if err != nil {
		c.t.Errorf("offsets of %s: %v", group, err)
	}
	all := map[int32]int64{}
	for p, o := range offsets[topic] {
		all[p] = o.At
	}
	return all
}

// Look is Committed for brokers that may be away: then it returns nothing, after a second.
func (c *Cluster) Look(group, topic string) map[int32]int64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	offsets, err := c.administrator().FetchOffsets(ctx, group)
	if err != nil {
		return nil
	}
	all := map[int32]int64{}
	for p, o := range offsets[topic] {
		all[p] = o.At
	}
	return all
}

// Members returns the number of members of a group.
func (c *Cluster) Members(group string) int {
	c.t.Helper()
	ctx, cancel := patience()
	defer cancel()
	groups, err := c.administrator().DescribeGroups(ctx, group)
	if err != nil {
		return 0
	}
	return len(groups[group].Members)
}
