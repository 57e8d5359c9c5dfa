// Package store is what the shop knows for certain: products, sizes, stock and orders, in
// SQLite or PostgreSQL.
//
// The database decides who gets a pair. A purchase is one transaction for the whole cart: each
// size's count goes down by one if there is one left, and otherwise nothing of the cart is
// bought. Whatever shows stock beside this package is a copy that may be late.
//
// # Revisions
//
// Each change of a size's stock raises its revision in the same transaction. Of two reports
// about a size the one with the higher revision is the later one, in whichever order they
// arrive.
//
// # Idempotency
//
// A purchase has a key that its shopper's page chose. A second purchase with the key of one
// that succeeded changes nothing and returns the order of the first. A purchase that failed
// leaves no trace, so that its key can be used again.
//
// # Blocking
//
// All methods wait for the database, at most until their context is done, and may be called
// from any goroutine. A Store starts no goroutine of its own beside those of database/sql.
package store
