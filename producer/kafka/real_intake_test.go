package kafka

import (
	"testing"
	"time"
)

// A backlog of a million records at default configuration.
func TestRealBacklogIsFetchedOnce(t *testing.T) {
	n := 1_000_000
	w := realWorld(t, 4)
	w.mu.Lock()
	w.finishUpTo(0, int64(n))
	w.mu.Unlock()
	backlog(t, w, n, 0, 0)
}

func TestRealMissingTopicSlowsNoOther(t *testing.T) {
	w := realWorld(t, 1)
	if d := otherTopics(t, w, []string{"missing"}, 20*time.Second); d > time.Second {
		t.Errorf("a record of the healthy topic took %v", d)
	} else {
		t.Logf("a record took %v at most", d)
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
