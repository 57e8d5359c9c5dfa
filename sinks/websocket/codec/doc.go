// Package codec reads and writes the messages of the Phoenix Channels
// protocol: text V2, text V1 and the binary messages of V2. It has no network
// code and keeps no state.
//
//	V2 text    [join_ref, ref, topic, event, payload]
//	V1 text    {"topic":…, "event":…, "payload":…, "ref":…}
//	V2 binary  one byte of kind, one of length per field, the fields, the data
//
//	   push from a client   00 jl rl tl el │ join_ref ref topic event data
//	   push from a server   00 jl tl el    │ join_ref topic event data
//	   reply                01 jl rl tl sl │ join_ref ref topic status data
//	   broadcast            02 tl el       │ topic event data
//
// [V1] and [V2] are two [Serializer]s. An application can have others.
//
// # Input
//
// [Version.Decode] takes one whole message and checks all of it: syntax, UTF-8 in
// strings, nesting up to a bound, no key twice in an object, no lone
// surrogate, no number beyond a float64, no ref of more than 255 bytes. A message
// that has the form of the protocol and fails one of the last six is refused with
// its topic, event and refs, so that the sender can get a reply: see
// [DecodeError]. The result does not refer to the input. A ref that is a number
// stays a number: 1 and "1" are different refs, as they are for Phoenix.
//
// # Output
//
// The Append functions append one message to a slice. Payloads are encoded before,
// by [Encode], so that one encoding serves many messages.
//
// # Errors
//
// The error of Decode is a [*DecodeError]. [Encode] returns the errors of
// encoding/json. [ErrFieldTooLong] is for binary fields of more than 255 bytes and
// [ErrNoBinary] for binary payloads over V1.
//
// # Concurrency
//
// All functions may be called from any goroutine.
//
// # Cost
//
// Decode allocates at most eight times the size of its input, in a few pieces.
// Lengths in the input are checked before memory is taken for them. The Append
// functions allocate only to grow the slice.
package codec
