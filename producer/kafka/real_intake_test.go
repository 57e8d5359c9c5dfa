package kafka

import (
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/kafkatest"
)

// A backlog of a million records at default configuration. It is not in parallel: it measures
// gaps. A broker that has stood still itself is why it is read again, from another topic.
func TestRealBacklogIsFetchedOnce(t *testing.T) {
	const n, tries = 1_000_000, 3
	var over time.Duration
	for range tries {
		w := worldOn(t, kafkatest.Shared(t), 4)
		w.mu.Lock()
		w.finishUpTo(0, n)
		w.mu.Unlock()
		if over = backlog(t, w, w.config(), n, 0, 0); over <= 0 {
			return
		}
	}
	t.Errorf("nothing was delivered for longer than 500ms each of %d times, the last time by %v", tries, over)
}

func TestRealMissingTopicSlowsNoOther(t *testing.T) {
	w := realWorld(t, 1)
	// A member that pauses for the missing topic does so again and again, up to 5 s, so that
	// most records are late; other tests on the same broker delay single ones.
	times := otherTopics(t, w, []string{"missing"}, 15*time.Second)
	median, longest := times[len(times)/2], times[len(times)-1]
	t.Logf("a record took %v, %v at most", median, longest)
	if median > time.Second {
		t.Errorf("most records of the healthy topic took more than %v", median)
	}
}

func TestRealSlowDecode(t *testing.T) { slowDecode(t, realWorld(t, 2)) }

func TestRealDecodeThatEndsItsGoroutine(t *testing.T) {
	decodeThatEndsItsGoroutine(t, realWorld(t, 2))
}

// Two gigabytes of zeros, six megabytes on disk.
func TestRealUnpackedBytesAreBounded(t *testing.T) {
	w := realWorld(t, 1)
	idle, busy := unpacked(t, w, 2000)
	t.Logf("%d MiB without demand, %d MiB with", idle>>20, busy>>20)
	// Other tests run at the same time.
	if most := int64(4 * mostUnpacked); idle > most || busy > most {
		t.Errorf("%d MiB without demand, %d MiB with, %d are allowed", idle>>20, busy>>20, most>>20)
	}
}
