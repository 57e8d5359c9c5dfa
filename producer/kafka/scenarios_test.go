package kafka

import (
	"testing"
	"testing/synctest"
)

// scenario is a test that needs no control of the broker, so that the same runs on the
// embedded one, in virtual time, and on Apache Kafka, in real time.
type scenario struct {
	name       string
	partitions int32
	run        func(*testing.T, *world)
}

// scenarios are those that TestRealScenarios runs. The tests of the embedded broker run
// them one by one under names of their own.
var scenarios = []scenario{
	{"ten thousand over three partitions", 3, tenThousandOverThreePartitions},
	{"records reach Decode whole", 2, recordsReachDecodeWhole},
	{"one partition", 1, fiveOfEach},
	{"four partitions", 4, fiveOfEach},
	{"the client is gone at the end", 1, theClientIsGoneAtTheEnd},
	{"commits in order", 2, commitsInOrder},
	{"goes on after revoke and stops after drain", 2, goesOnAfterRevokeAndStopsAfterDrain},
	{"drain commits and leaves the rest", 2, drainCommitsAndLeavesTheRest},
	{"killed member loses nothing", 3, killedMemberLosesNothing},
	{"rebalance with two members", 4, rebalanceWithTwoMembers},
	{"revoke does not wait for ever", 2, revokeDoesNotWaitForEver},
	{"batch larger than the window", 1, batchLargerThanTheWindow},
	{"members come and go", 5, func(t *testing.T, w *world) { comeAndGo(t, w, 1) }},
	{"store that fails", 1, func(t *testing.T, w *world) { storeThatFails(t, w, 70, false) }},
	{"store that fails, redelivery", 1, func(t *testing.T, w *world) { storeThatFails(t, w, 100, true) }},
}

// virtually runs a scenario on the embedded broker.
func virtually(t *testing.T, partitions int32, run func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { run(t, newWorld(t, virtual(partitions))) })
}

// TestRealScenarios runs the scenarios on Apache Kafka.
func TestRealScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.run(t, realWorld(t, s.partitions)) })
	}
}

// settle waits until nothing moves any more, where that can be known.
func (w *world) settle() {
	if w.broker != nil && w.options() != nil {
		synctest.Wait()
	}
}

// groupSize is the number of members that the brokers count.
func (w *world) groupSize() int {
	if w.real != nil {
		return w.real.Members(w.group)
	}
	return len(w.broker.Cluster.GroupInfo(w.group).Members)
}
