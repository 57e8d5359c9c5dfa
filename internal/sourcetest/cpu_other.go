//go:build !unix

package sourcetest

import "time"

// cpu is not measured here.
func cpu() time.Duration { return 0 }
