package websocket

import (
	"encoding/json"
	"testing"
)

// TestSnapshotHasNames pins the names of a snapshot in JSON.
func TestSnapshotHasNames(t *testing.T) {
	text, err := json.Marshal(Snapshot{
		Connections: 1, Channels: 2, HungHandlers: 8, HungConnects: 9, QueuedFrames: 3, QueuedBytes: 4, SlowCount: 5,
		Slow: []SlowConnection{{Socket: "s", ID: "i", Frames: 6, Bytes: 7}},
	})
	want := `{"connections":1,"channels":2,"hung_handlers":8,"hung_connects":9,"queued_frames":3,"queued_bytes":4,` +
		`"slow":[{"socket":"s","id":"i","frames":6,"bytes":7}],"slow_count":5}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
