package codec_test

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// processorTime returns how long the processor works for f. A busy machine takes it from the
// goroutine every few milliseconds, and what others do meanwhile is not counted.
func processorTime(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime()
	f()
	return threadTime() - begin
}

// threadTime returns the processor time of the thread.
func threadTime() time.Duration {
	const clockThread = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockThread, uintptr(unsafe.Pointer(&ts)), 0); err != 0 {
		panic(err)
	}
	return time.Duration(ts.Nano())
}
