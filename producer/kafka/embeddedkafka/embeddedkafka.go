// Package embeddedkafka runs a Kafka broker inside the process, for programs
// that must run without a service and for tests. It is franz-go's kfake: it
// speaks the protocol on the loopback interface, keeps everything in memory
// and forgets it at the end. It is no broker for production.
package embeddedkafka

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/option"
)

// Config configures [Start]. The zero value is a broker without topics.
type Config struct {
	// Topics are created at the start, with so many partitions each.
	Topics map[string]int32
	// Brokers is how many brokers the cluster has. Default 1.
	Brokers int
	// RetentionBytes bounds what is kept of each partition of Topics, so that
	// a program that runs for long does not grow; the broker looks every ten
	// seconds and drops the oldest, read or not. Memory is freed by eighths of it.
	// Default 64 MiB; below 0 everything is kept.
	RetentionBytes int64
	// Virtual keeps all traffic inside the process, without sockets: what a
	// test in a synctest bubble needs. Clients must have [Broker.Options].
	Virtual bool
	// Options are added, last.
	Options []kfake.Opt
}

// Broker is a running cluster.
type Broker struct {
	// Cluster is the cluster itself, for injecting faults and looking at
	// groups.
	Cluster *kfake.Cluster
	network *kfake.VirtualNetwork
}

// Start runs a cluster until it is closed. A refused option is an
// *kafka.OptionError.
func Start(cfg Config) (*Broker, error) {
	owner := option.Owner("embeddedkafka")
	if err := option.AtLeast(owner, "Brokers", cfg.Brokers, 0); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Topics)) {
		if err := option.AtLeast(owner, "Topics["+name+"]", cfg.Topics[name], 1); err != nil {
			return nil, err
		}
	}
	b := &Broker{}
	opts := []kfake.Opt{kfake.NumBrokers(cmp.Or(cfg.Brokers, 1))}
	if cfg.Virtual {
		b.network = new(kfake.VirtualNetwork)
		ports := make([]int, cmp.Or(cfg.Brokers, 1))
		for i := range ports {
			ports[i] = 9092 + i
		}
		opts = append(opts, kfake.Ports(ports...), kfake.ListenFn(b.network.Listen))
	}
	retention := cmp.Or(cfg.RetentionBytes, 64<<20)
	if retention > 0 {
		opts = append(opts, kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "10000"}))
	}
	cluster, err := kfake.NewCluster(append(opts, cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("embeddedkafka: start: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Topics)) {
		configs := map[string]string{}
		if retention > 0 {
			configs["retention.bytes"] = strconv.FormatInt(retention, 10)
			configs["segment.bytes"] = strconv.FormatInt(SegmentBytes(retention), 10)
		}
		if err := cluster.CreateTopic(name, cfg.Topics[name], configs); err != nil {
			cluster.Close()
			return nil, fmt.Errorf("embeddedkafka: create topic %q: %w", name, err)
		}
	}
	b.Cluster = cluster
	return b, nil
}

// SegmentBytes returns the segment.bytes that a topic needs beside a retention.bytes. The
// cluster frees the memory of a partition by whole segments, of 100 MiB by default.
func SegmentBytes(retention int64) int64 { return min(max(retention/8, 1<<10), math.MaxInt32) }

// Addrs are the brokers' host:port.
func (b *Broker) Addrs() []string { return b.Cluster.ListenAddrs() }

// Options are what a client needs to reach the cluster: nothing unless it is
// virtual.
func (b *Broker) Options() []kgo.Opt {
	if b.network == nil {
		return nil
	}
	return []kgo.Opt{kgo.Dialer(b.network.DialContext)}
}

// Close ends the cluster and all connections to it.
func (b *Broker) Close() { b.Cluster.Close() }
