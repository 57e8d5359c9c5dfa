//go:build unix && !solaris && !illumos && !aix

package deadletter

import (
	"os"
	"syscall"
)

// lock reserves f for this process, until f is closed. Another File of the same process is
// refused as well.
func lock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	if err := raw.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) }); err != nil {
		return err
	}
	return locked
}
