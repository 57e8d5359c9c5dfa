package proc

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestMachine(t *testing.T) {
	busy, total := machine("cpu  100 20 30 400 50 1 2 3 99 99\ncpu0 1 2 3\n")
	if busy != 1530*time.Millisecond || total != 6060*time.Millisecond {
		t.Error(busy, total)
	}
	if busy, total := machine(""); busy != 0 || total != 0 {
		t.Error(busy, total)
	}
}

func TestUsage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	before, _, err := Usage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// The kernel counts in steps of 10 ms of a processor, which a busy machine may give late.
	after, resident := before, int64(0)
	for start := time.Now(); after <= before && err == nil && time.Since(start) < time.Minute; {
		after, resident, err = Usage(os.Getpid())
	}
	if err != nil || resident < 1<<20 || after <= before {
		t.Error(before, after, resident, err)
	}
	if _, _, err := Usage(1 << 30); err == nil {
		t.Error("a process that is not there has usage")
	}
	if busy, total, err := Machine(); err != nil || busy <= 0 || total < busy {
		t.Error(busy, total, err)
	}
}
