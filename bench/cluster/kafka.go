//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/ports"
)

// broker is Apache Kafka: that of PENSTOCK_KAFKA, or one of our own.
type broker struct {
	addr  string
	env   []string // nil if it is not ours
	ports *ports.Range
	topic string
}

// openBroker starts one, unless PENSTOCK_KAFKA has its address.
func openBroker(ctx context.Context, dir, topic string) (*broker, error) {
	if addr := os.Getenv("PENSTOCK_KAFKA"); addr != "" {
		return &broker{addr: addr, topic: topic}, nil
	}
	b := &broker{topic: topic}
	for try := 1; ; try++ {
		var err error
		if b.ports, err = ports.Take(5); err != nil { // ten for each kind of listener
			return nil, err
		}
		b.env = append(os.Environ(), "KAFKA_DIR="+filepath.Join(dir, "kafka"), "KAFKA_PORT="+strconv.Itoa(b.ports.First),
			// No fault concerns the broker, which a busy machine may keep from running for seconds.
			"KAFKA_SETTINGS=broker.session.timeout.ms=60000")
		if _, err = b.script(ctx, "start"); err == nil {
			break
		}
		b.close()
		// A program that does not use package ports was quicker.
		if try == 5 || ctx.Err() != nil || !strings.Contains(err.Error(), "already in use") {
			return nil, err
		}
	}
	var err error
	b.addr, err = b.script(ctx, "addr")
	return b, err
}

// script runs kafka/cluster and returns what it prints.
func (b *broker) script(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join("kafka", "cluster"), args...)
	cmd.Env = b.env
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		return "", fmt.Errorf("kafka/cluster %v: %w: %s", args, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// close ends our own broker and deletes its data, or deletes the topic of another.
func (b *broker) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if b.env != nil {
		if _, err := b.script(ctx, "clean"); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
		}
		b.ports.Close()
		return
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = kadm.NewClient(client).DeleteTopics(ctx, b.topic) // a test's topic may remain
}

// pourer writes numbered records for all users.
type pourer struct {
	client *kgo.Client
	ledger *ledger
	begun  time.Time
	group  string
	// Of the topic. Users are spread evenly: the fullest partition is held up first by users
	// who are away, and by a hash of 300 keys it has half as many users again.
	partitions int
}

func newPourer(b *broker, group string, partitions int, l *ledger, begun time.Time) (*pourer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.DefaultProduceTopic(b.topic), kgo.ProducerLinger(5*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	return &pourer{client: client, ledger: l, begun: begun, group: group, partitions: partitions}, nil
}

// pour writes rate records a second until ctx is done. Each has a user that is drawn.
func (p *pourer) pour(ctx context.Context, rate int, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	begun, made := time.Now(), 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		// What a late tick has missed is made up for.
		for due := int(time.Since(begun).Seconds() * float64(rate)); made < due; made++ {
			p.write(r.IntN(len(p.ledger.users)))
		}
	}
}

// write produces one record of about 200 bytes.
func (p *pourer) write(user int) {
	number := p.ledger.make(user, time.Since(p.begun))
	p.client.Produce(context.Background(), &kgo.Record{
		Partition: p.partitionOf(user), Key: []byte(name(user)),
		Value: fmt.Appendf(nil, `{"user_id":%q,"data":{"to":%q,"n":%d,"pad":%q}}`, name(user), name(user), number, padding),
	}, func(_ *kgo.Record, err error) {
		if err != nil {
			p.ledger.refuse(user, number)
		}
	})
}

var padding = strings.Repeat(".", 140)

// owners returns the member of the group that has each partition, by its instance id.
func (p *pourer) owners(ctx context.Context) (map[int32]string, error) {
	groups, err := kadm.NewClient(p.client).DescribeGroups(ctx, p.group)
	if err != nil {
		return nil, err
	}
	owners := map[int32]string{}
	for _, m := range groups[p.group].Members {
		assigned, ok := m.Assigned.AsConsumer()
		if !ok || m.InstanceID == nil {
			continue
		}
		for _, t := range assigned.Topics {
			for _, partition := range t.Partitions {
				owners[partition] = *m.InstanceID
			}
		}
	}
	return owners, groups[p.group].Err
}

// partitionOf returns the partition of a user's records.
func (p *pourer) partitionOf(user int) int32 { return int32(user % p.partitions) }
