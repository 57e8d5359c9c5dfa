//go:build !unix || solaris || illumos || aix

package deadletter

import "os"

// lock does nothing: this system has no flock.
func lock(*os.File) error { return nil }
