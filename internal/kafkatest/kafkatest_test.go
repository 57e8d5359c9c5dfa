package kafkatest_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/internal/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRealKit uses all that the kit offers once: brokers that are killed, stopped and
// paused, listeners with TLS and a password, topics, and a proxy.
func TestRealKit(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Config{})
	topic := c.Topic(2, "cleanup.policy=compact")
	c.Produce(topic, 2, 10, 3)
	c.AddPartitions(topic, 3)
	fetch := func(what string, opts ...kgo.Opt) {
		t.Helper()
		client := c.Client(append([]kgo.Opt{kgo.ConsumeTopics(topic)}, opts...)...)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for n := 0; n < 20; {
			fetches := client.PollFetches(ctx)
			if err := ctx.Err(); err != nil {
				t.Fatalf("%s: %d records, %v", what, n, fetches.Err())
			}
			n += fetches.NumRecords()
		}
	}
	fetch("plain")
	fetch("TLS", kgo.SeedBrokers(c.AddrsOf("tls")...), c.Certificate())
	fetch("PLAIN", kgo.SeedBrokers(c.AddrsOf("sasl")...), kafkatest.Password("PLAIN", "secret"))
	fetch("SCRAM over TLS", kgo.SeedBrokers(c.AddrsOf("saslssl")...), c.Certificate(), kafkatest.Password("SCRAM-SHA-256", "secret"))
	c.Kill(1)
	c.Up(1)
	fetch("after a kill")
	c.Pause(1)
	time.AfterFunc(200*time.Millisecond, func() { c.Continue(1) })
	fetch("after a pause")
	c.Stop(1)
	c.Up(1)
	proxy := &kafkatest.Proxy{}
	proxy.Hold()
	time.AfterFunc(200*time.Millisecond, proxy.Release)
	fetch("through a proxy", kgo.Dialer(proxy.Dial))
	if proxy.Dials() == 0 {
		t.Error("nothing went through the proxy")
	}
	if n := c.Members(c.Group()); n != 0 {
		t.Errorf("a fresh group has %d members", n)
	}
}
