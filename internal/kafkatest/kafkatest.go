// Package kafkatest runs tests against Apache Kafka itself.
//
// Such tests are named TestReal and something, and are skipped unless the environment
// variable PENSTOCK_KAFKA has the brokers' host:port, separated by commas: `make test-kafka`
// starts a broker, sets it and runs them. [Shared] is that broker, for tests that only
// need topics and groups of their own. A test that kills, stops or pauses brokers begins
// its own with [Start].
package kafkatest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/ports"
)

// Variable is the environment variable that has the brokers of [Shared].
const Variable = "PENSTOCK_KAFKA"

// Cluster is a running cluster. Its methods fail the test when something does not work, and
// may be called from any goroutine.
type Cluster struct {
	t     testing.TB
	addrs []string
	// script runs kafka/cluster for these brokers; nil for those of [Shared].
	script func(args ...string) (string, error)

	mu    sync.Mutex
	admin *kgo.Client // guarded by mu; nil before the first use
}

// Config configures [Start]. The zero value is one broker.
type Config struct {
	// Brokers is the number of brokers, 1 to 9. Default: 1.
	Brokers int
	// Settings are further lines of the brokers' server.properties.
	Settings string
	// Stopped leaves the brokers down after their start: their addresses are known
	// and Up starts them.
	Stopped bool

	// taken is called with the ports that the cluster is about to use; tests set it.
	taken func(*ports.Range)
}

// Shared returns the brokers that other tests use at the same time. Without any the test is
// skipped.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	addrs := os.Getenv(Variable)
	if addrs == "" {
		t.Skip("needs Apache Kafka: make test-kafka, or make kafka and " + Variable + "=host:port")
	}
	return newCluster(t, strings.Split(addrs, ","), nil)
}

// Start starts brokers for this test alone, which takes about four seconds, and ends them
// with it. The test is skipped where [Shared] skips it.
func Start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	Shared(t)
	dir := t.TempDir()
	n := cmp.Or(cfg.Brokers, 1)
	for range 5 {
		taken := ports.For(t, listeners)
		if cfg.taken != nil {
			cfg.taken(taken)
		}
		script := func(args ...string) (string, error) { return run(dir, taken.First, cfg.Settings, args...) }
		// Before the start, which may fail or end the test when some brokers run.
		t.Cleanup(func() {
			if out, err := script("clean"); err != nil {
				t.Errorf("kafka/cluster clean: %v\n%s", err, out)
			}
		})
		out, err := script("start", strconv.Itoa(n))
		if err != nil && strings.Contains(out, "already in use") {
			// A program that does not use package ports was quicker.
			t.Logf("other ports than %d: %s", taken.First, out)
			_, _ = script("clean")
			continue
		}
		if err != nil {
			t.Fatalf("kafka/cluster start: %v\n%s", err, out)
		}
		addrs, err := script("addr")
		if err != nil {
			t.Fatal(err, addrs)
		}
		c := newCluster(t, strings.Split(strings.TrimSpace(addrs), ","), script)
		if cfg.Stopped {
			for id := range n {
				c.Stop(id + 1)
			}
		}
		return c
	}
	t.Fatal("the ports were taken by others again and again")
	return nil
}

// listeners is the number of kinds of listeners of kafka/cluster, each of which has ten ports.
const listeners = 5

func newCluster(t testing.TB, addrs []string, script func(...string) (string, error)) *Cluster {
	c := &Cluster{t: t, addrs: addrs, script: script}
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.admin != nil {
			c.admin.Close()
		}
	})
	return c
}

// run runs kafka/cluster of this module.
func run(dir string, port int, settings string, args ...string) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(file), "..", "..", "kafka", "cluster"), args...)
	cmd.Env = append(os.Environ(), "KAFKA_DIR="+dir, "KAFKA_PORT="+strconv.Itoa(port), "KAFKA_LIBS="+libraries(), "KAFKA_SETTINGS="+settings)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// libraries returns the folder of the jars, as kafka/cluster finds it.
func libraries() string {
	return cmp.Or(os.Getenv("KAFKA_LIBS"), filepath.Join(os.TempDir(), "penstock-kafka", "libs"))
}

// Addrs are the brokers' host:port.
func (c *Cluster) Addrs() []string { return c.addrs }

// AddrsOf are the host:port of the listeners of a kind: "plain", "tls", "sasl", "saslssl".
func (c *Cluster) AddrsOf(kind string) []string {
	c.t.Helper()
	return strings.Split(strings.TrimSpace(c.do("addr", kind)), ",")
}

// Kill ends a broker with SIGKILL. The first broker has number 1.
func (c *Cluster) Kill(id int) { c.t.Helper(); c.do("kill", strconv.Itoa(id)) }

// Stop ends a broker in order.
func (c *Cluster) Stop(id int) { c.t.Helper(); c.do("stop", strconv.Itoa(id)) }

// Up starts a broker that was stopped or killed, and waits until it is ready.
func (c *Cluster) Up(id int) { c.t.Helper(); c.do("up", strconv.Itoa(id)) }

// Pause stops a broker's process where it is: its connections stay and nothing is answered.
func (c *Cluster) Pause(id int) { c.t.Helper(); c.do("pause", strconv.Itoa(id)) }

// Continue ends a pause.
func (c *Cluster) Continue(id int) { c.t.Helper(); c.do("cont", strconv.Itoa(id)) }

// do runs kafka/cluster, and returns what it prints.
func (c *Cluster) do(args ...string) string {
	c.t.Helper()
	if c.script == nil {
		c.t.Fatal("brokers that are shared are not controlled: use kafkatest.Start")
	}
	out, err := c.script(args...)
	if err != nil {
		c.t.Errorf("kafka/cluster %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Group returns the name of a group that nothing has used.
func (c *Cluster) Group() string { return fresh("group") }

// fresh returns a name that was not used before, with the time, so that it can be found in
// the brokers' logs.
func fresh(kind string) string {
	return fmt.Sprintf("%s-%s-%08x", kind, time.Now().Format("150405"), rand.Uint32())
}

// Client returns a client, which is closed at the end of the test.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.addrs...)}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	return client
}

// patience bounds what the kit asks of the brokers.
func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}
