package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// poll polls a batch, until a partition that has failed is to be fetched again.
func (t *Transactor) poll(ctx context.Context, session *kgo.GroupTransactSession, failing *quarantine) kgo.Fetches {
	if at := failing.first(); !at.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, at)
		defer cancel()
	}
	return session.PollRecords(ctx, t.cfg.Size)
}

// isolate has the client not fetch the partitions that failed, and fetch those again whose time
// has come: it would repeat a fetch in which one of several fails without a pause. It reports
// whether there is a failure of no partition. A move to another broker is reported if it lasts.
func (t *Transactor) isolate(client *kgo.Client, fetches kgo.Fetches, failing *quarantine) (failed bool) {
	now := time.Now()
	var out []topicPartition
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		key := topicPartition{f.Topic, f.Partition}
		switch {
		case isContextError(f.Err):
		case f.Err == nil:
			if len(f.Records) > 0 {
				failing.heal(key)
			}
			return
		case f.Topic == "" || f.Partition < 0:
			failed = true
			t.report("polling", f.Err)
		default:
			if failing.fail(key, now) {
				out = append(out, key)
			}
			if !kerr.IsRetriable(f.Err) || !failing.passing(key) {
				t.report("polling", fmt.Errorf("topic %q, partition %d: %w", f.Topic, f.Partition, f.Err))
			}
		}
	})
	if len(out) > 0 {
		client.PauseFetchPartitions(byTopic(out))
	}
	if in := failing.due(now); len(in) > 0 {
		client.ResumeFetchPartitions(byTopic(in))
	}
	return failed
}
