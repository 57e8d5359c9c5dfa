package pipeline_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/stage"
)

func TestMain(m *testing.M) {
	stage.PoisonBatches(true)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}
