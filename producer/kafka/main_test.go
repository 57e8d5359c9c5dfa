package kafka

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(jobVariable); job != "" {
		os.Exit(runJob(job)) // this process is a member of a test's group
	}
	goleak.VerifyTestMain(m)
}
