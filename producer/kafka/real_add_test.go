package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// The scenarios of the embedded broker, on a real one.

func TestRealReadCommitted(t *testing.T)          { readCommitted(t, foreign(t)) }
func TestRealReadUncommitted(t *testing.T)        { readUncommitted(t, foreign(t)) }
func TestRealStartByTime(t *testing.T)            { startByTime(t, foreign(t)) }
func TestRealResetAgo(t *testing.T)               { resetAgo(t, foreign(t)) }
func TestRealPauseOfPartitions(t *testing.T)      { pauseOfPartitions(t, foreign(t)) }
func TestRealTopicPatterns(t *testing.T)          { topicPatterns(t, foreign(t), ClassicProtocol) }
func TestRealServerProtocol(t *testing.T)         { serverProtocol(t, foreign(t)) }
func TestRealServerProtocolPatterns(t *testing.T) { topicPatterns(t, foreign(t), ServerProtocol) }

// TestRealProtocolsMixed: members of a group move from the classic protocol to the
// server's one by one, and back.
func TestRealProtocolsMixed(t *testing.T) {
	c := foreign(t)
	topic := c.topic("mixed", 4)
	cfg := c.config("g", topic)
	classic, served := stage.Must(NewProducer(cfg)), cfg
	served.Protocol = ServerProtocol
	a := read(t, classic)
	has := func(p *Producer[string]) int { return len(p.Snapshot().Partitions) }
	eventually(t, "the classic member", func() bool { return has(classic) == 4 })
	modern := stage.Must(NewProducer(served))
	b := read(t, modern)
	eventually(t, "a share for both", func() bool { return has(classic) == 2 && has(modern) == 2 })
	a.leave()
	eventually(t, "all for the modern one", func() bool { return has(modern) == 4 })
	back := stage.Must(NewProducer(cfg))
	d := read(t, back)
	eventually(t, "a share for the classic one again", func() bool { return has(back) == 2 && has(modern) == 2 })
	for n := range int32(4) {
		c.produce(topic, n, fmt.Sprint(n))
	}
	eventually(t, "all records", func() bool { return len(b.events())+len(d.events()) == 4 })
	b.leave()
	d.leave()
	for n := range int32(4) {
		if at := c.committed(cfg.Group, topic, n); at != 1 {
			t.Errorf("partition %d: committed %d", n, at)
		}
	}
}

func TestRealTransactorExactlyOnceThroughKills(t *testing.T) {
	exactlyOnce(t, foreign(t), ClassicProtocol, 12, 6_000)
}
func TestRealTransactorServerProtocol(t *testing.T) {
	exactlyOnce(t, foreign(t), ServerProtocol, 6, 3_000)
}
func TestRealTransactorDeadLetters(t *testing.T) { transactorDead(t, foreign(t)) }
func TestRealTransactorIsFenced(t *testing.T)    { transactorFenced(t, foreign(t)) }

func TestRealShareVerdicts(t *testing.T)     { shareVerdicts(t, foreign(t)) }
func TestRealShareMembers(t *testing.T)      { shareMembers(t, foreign(t)) }
func TestRealShareKilledMember(t *testing.T) { shareKilled(t, foreign(t)) }
func TestRealShareRenewsItsLocks(t *testing.T) {
	shareRenews(t, foreign(t), 5*time.Second, true, false)
}
func TestRealShareDrainGivesBack(t *testing.T) { shareDrain(t, foreign(t)) }

func TestRealRetriesComeAfterTheirPause(t *testing.T) { retryRounds(t, foreign(t)) }
func TestRealDelay(t *testing.T)                      { delay(t, foreign(t)) }
