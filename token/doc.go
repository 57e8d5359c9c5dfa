// Package token makes and checks signed tokens that expire: Phoenix's own
// format ([Phoenix]) and JSON Web Tokens ([JWT]).
//
// # Errors
//
// A check returns nil or one of three errors, and nothing more exact, so that a
// client cannot learn which part of its forgery was wrong:
//
//   - [ErrMissing]: there is no token.
//   - [ErrInvalid]: it was not made with this key, or is for another recipient,
//     or is not valid yet.
//   - [ErrExpired]: it is genuine and too old. A check reports this only for a
//     token that was made with this key.
//
// Signatures are compared in constant time.
//
// # Clocks
//
// The clock of the machine that signs may be ahead of this one by a leeway, 5 s by
// default ([DefaultLeeway]): a token is then valid although it begins in the future.
// The end of a token is exact: no leeway prolongs its life.
//
// # Bounds
//
// A token of more than [MaxBytes] bytes is invalid before anything is decoded.
// Its content is decoded to a depth of 32, with allocations in proportion to the
// token's own size; terms for code, processes or compressed data are refused.
//
// # Concurrency
//
// [Phoenix] and [JWT] may be used from any goroutine. Nothing here blocks,
// except for the Key function of a [JWTConfig].
//
// # Cost
//
// [Phoenix] derives a key for each salt once, at about a quarter of a
// millisecond, and remembers [PhoenixConfig.MaxKeys] of them.
package token
