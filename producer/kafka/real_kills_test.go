package kafka

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/kafkatest"
)

// TestRealKills kills members of a group with SIGKILL at random moments while records come,
// and starts others in their place. Each member writes what it handles to a journal, which is
// on the disk before the record has its receipt. No record may be lost; a kill repeats at
// most the windows of the member's partitions; and the first deliveries of each user's
// records are in order. `make kafka-kills` does it 100 times over a million records.
func TestRealKills(t *testing.T) {
	for _, shape := range []string{"fair", "chunks", "pipeline"} {
		t.Run(shape, func(t *testing.T) {
			cluster := kafkatest.Shared(t)
			if !long {
				t.Parallel()
			}
			kills, records, pause := 5, 30_000, 1500*time.Millisecond
			if long {
				kills, records, pause = 100, 1_000_000, 2500*time.Millisecond
				if shape != "fair" {
					kills, records = 30, 200_000
				}
			}
			killMembers(t, cluster, shape, kills, records, pause)
		})
	}
}

func killMembers(t *testing.T, cluster *kafkatest.Cluster, shape string, kills, records int, pause time.Duration) {
	const members, partitions, users, window = 3, 12, 10_000, 10_000
	seed := uint64(time.Now().UnixNano())
	h := newHerd(t, cluster, shape, partitions, users, seed)
	h.job.Window = window
	r := rand.New(rand.NewPCG(seed, 13)) // pour has the other
	begun := time.Now()
	poured := h.pour(records, int(float64(records)/(float64(kills)*pause.Seconds())))
	live := make([]*process, members)
	for i := range live {
		live[i] = h.start()
	}
	for range kills {
		time.Sleep(time.Duration(r.Float64() * 2 * float64(pause)))
		i := int(r.Float64() * members)
		select {
		case <-live[i].done:
			t.Errorf("a member ended by itself: %v\n%s", live[i].err, tail(live[i].log.Bytes()))
		default:
		}
		live[i].kill()
		live[i] = h.start()
	}
	poured()
	h.finish(2 * time.Minute)
	slowest := time.Duration(0)
	for _, m := range live {
		slowest = max(slowest, h.term(m))
	}
	bound := kills * window * partitions
	sum := h.complete(bound)
	t.Logf("%s, commit %s, seed %d\n"+
		"| shape | kills | records | members | partitions | users | lost | twice | bound | of a kill | out of order | longest gap | drain | time |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"+
		"| %s | %d | %d | %d | %d | %d | %d | %d | %d | %.0f | %d | %v | %v | %v |",
		time.Now().Format(time.DateOnly), commitOfTest(), seed, shape, kills, records, members, partitions, users,
		sum.lost, sum.again, bound, float64(sum.again)/float64(kills), sum.disorder,
		sum.gap.Round(time.Millisecond), slowest.Round(time.Millisecond), time.Since(begun).Round(time.Second))
}

// commitOfTest names the commit of the work tree, for tables.
func commitOfTest() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
