package dispatcher

import "errors"

// ErrSubscribed refuses a second subscription of the same consumer to a
// [Broadcast], which would get every event twice. The consumer lives on.
var ErrSubscribed = errors.New("already subscribed")
