package stage_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/stage"
)

func TestMain(m *testing.M) {
	// Handlers that keep a slice of events see it wiped.
	stage.PoisonBatches(true)
	goleak.VerifyTestMain(m)
}
