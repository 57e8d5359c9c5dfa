package kafka

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// The snapshot of the pipeline has the producer's figures, with fixed names.
func TestSnapshotHasTheFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.produce(3, 0)
		m := w.join(w.config(), w.handler("a"), stage.SubscribeConfig{MaxDemand: 10})
		w.wait("the commit", func() bool { return w.commits["0"] == 3 })
		synctest.Wait()
		snapshot := m.pipeline.Snapshot(t.Context())
		got, err := json.Marshal(snapshot.Stages[0].Handler)
		want := `{"records":3,"poison":0,"abandoned":0,"withdrawn":0,"left_in_flight":0,"commits":1,"commit_errors":0,"errors":0,"unreadable":0,"recreated":0,"demand":7,"ready":0,` +
			`"partitions":[{"topic":"pushes","partition":0,"head":3,"committed":3,"unfinished":0,"in_flight":0,"window":0,"end":3,"lag":0,"paused":false,"epoch":1}]}`
		if err != nil || string(got) != want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, want)
		}
		m.leave()
	})
}
