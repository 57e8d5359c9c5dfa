// Package retry has the one policy for repeating what has failed: how often, after
// which pauses, and for which errors. Consumers, steps of a pipeline and dispatchers
// all take it, in a field Retry of their config.
//
// The default makes three attempts, with a pause of about 100 ms before the second
// and 200 ms before the third: no retry of this module is hot by default. An error may
// say more itself: [Never] ends the attempts, [After] asks for a longer pause, such as
// the Retry-After of an HTTP response, and [Later] postpones what was not tried at all.
// The marks work through any wrapping, as errors.Is does.
package retry
