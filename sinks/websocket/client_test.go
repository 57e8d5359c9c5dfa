package websocket_test

import (
	"os"
	"testing"
)

// TestPhoenixClient only says where the phoenix client of npm is tested: that
// needs Node and a browser, and go test needs nothing but Go.
func TestPhoenixClient(t *testing.T) {
	for _, file := range []string{"client.test.mjs", "protocol.test.mjs", "restart.test.mjs", "resume.test.mjs", "browser.mjs", "package.json"} {
		if _, err := os.Stat("testdata/node/" + file); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat("../../.ci/phoenix"); err != nil {
		t.Error(err)
	}
	t.Log("left out by go test: the phoenix client of npm in Node and Chromium; .ci/phoenix runs it")
}
