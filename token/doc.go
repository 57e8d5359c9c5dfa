// Package token makes and checks signed tokens that expire: Phoenix's own
// format ([Phoenix]) and JSON Web Tokens ([JWT]).
//
// # Errors
//
// A check answers nil or one of three errors, and nothing more exact, so that
// what a client is told does not depend on where its forgery went wrong:
//
//   - [ErrMissing]: there is no token.
//   - [ErrInvalid]: it was not made with this key, or not for us, or not yet.
//   - [ErrExpired]: it is genuine and too old. Nobody learns this about a token
//     that he could not have got from us.
//
// Signatures are compared in constant time.
//
// # Bounds
//
// A token of more than [MaxBytes] bytes is invalid before anything is decoded.
// What is inside is decoded to a depth of 32, allocating in proportion to the
// token's own size; terms that stand for code, processes or compressed data
// are refused.
//
// # Concurrency
//
// [Phoenix] and [JWT] may be used from any goroutine. Nothing here blocks,
// apart from a key function given to [JWTConfig].
//
// # Cost
//
// [Phoenix] derives a key for each salt once, at about a quarter of a
// millisecond, and remembers [PhoenixConfig.MaxKeys] of them.
package token
