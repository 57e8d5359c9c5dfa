package pipelinetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/stage"
)

func TestMain(m *testing.M) {
	stage.PoisonBatches(true)
	goleak.VerifyTestMain(m)
}
