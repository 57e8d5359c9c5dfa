package redis

import (
	"strconv"
	"strings"
	"time"
)

// noGroup reports whether Redis has refused a request since the stream has no such group.
func noGroup(err error) bool { return strings.HasPrefix(err.Error(), "NOGROUP") }

// isMissing reports whether Redis has refused a request since there is no such stream.
func isMissing(err error) bool { return strings.Contains(err.Error(), "no such key") }

// age returns how old an entry is by its ID, which begins with the milliseconds since 1970 at
// Redis.
func age(id string, now time.Time) time.Duration {
	ms, _, _ := strings.Cut(id, "-")
	at, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(at)))
}
