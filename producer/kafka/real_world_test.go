package kafka

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/kafkatest"
)

// long reports whether tests run at their whole length.
var long = os.Getenv("PENSTOCK_LONG") != ""

// realWorld is a world with a fresh topic and group on the brokers that tests share. What the
// group commits is checked while the test runs. The test runs in parallel with others.
func realWorld(t *testing.T, partitions int32) *world {
	t.Helper()
	cluster := kafkatest.Shared(t)
	t.Parallel()
	return worldOn(t, cluster, partitions)
}

// worldOn is the same on brokers of the test's own.
func worldOn(t *testing.T, cluster *kafkatest.Cluster, partitions int32) *world {
	t.Helper()
	w := emptyWorld(t)
	w.real, w.topic, w.group, w.partitions = cluster, cluster.Topic(int(partitions)), cluster.Group(), partitions
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		w.audit(stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return w
}

// audit looks at the group's offsets again and again: all records below must be finished,
// and offsets do not go back. A commit that was wrong for less than the pause between two
// looks is not seen; the embedded broker shows each commit.
func (w *world) audit(stop <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	checked := map[string]int64{}
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for key, offset := range w.lookUp() {
			p, err := strconv.Atoi(key)
			if err != nil {
				panic(err)
			}
			w.mu.Lock()
			for o := checked[key]; o < offset; o++ {
				if id := name(int32(p), o); !w.finished[id] && w.produced[id] {
					w.wrong = append(w.wrong, fmt.Sprintf("commit of %s/%d though %s is not finished", key, offset, id))
					break
				}
			}
			if offset < w.commits[key] {
				w.wrong = append(w.wrong, fmt.Sprintf("commit of %s/%d after %d", key, offset, w.commits[key]))
			}
			w.commits[key], checked[key] = offset, max(offset, checked[key])
			w.notify()
			w.mu.Unlock()
		}
	}
}

// lookUp returns the group's offsets, none while the brokers are away.
func (w *world) lookUp() map[string]int64 {
	all := map[string]int64{}
	for p, o := range w.real.Look(w.group, w.topic) {
		all[strconv.Itoa(int(p))] = o
	}
	return all
}

// produceDirectly is produce past the proxy.
func (w *world) produceDirectly(n int, partitions ...int32) {
	w.t.Helper()
	proxy := w.proxy
	w.proxy = nil
	w.produce(n, partitions...)
	w.proxy = proxy
}
