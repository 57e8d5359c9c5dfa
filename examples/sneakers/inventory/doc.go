// Package inventory is a node's copy of the shop's products and stock, read by every page.
//
//	store.Checkout ──▶ Sold ──▶ copy ──▶ Changed: pages and carts of this node
//	                    │         ▲
//	                    ▼         │ the same, without sending it on
//	              inventory_replication ──▶ the other nodes
//
// The copy is never asked whether a pair can be sold: the database decides that. It can be
// late by the time that a message takes.
//
// # Replication
//
// A node that has changed the database broadcasts what has changed on the topic
// inventory_replication. A node that receives it changes its own copy and sends nothing on.
// Each node reports changes of its copy to its own clients only, so that a client gets a
// change once, and after the copy of its node has it. Stock has revisions: a report that is
// late changes nothing.
//
// # Gaps
//
// The hub reports when messages may have been lost, and a node that dies between its commit
// and its broadcast reports nothing at all. So a copy is read anew from the database after a
// reported loss at once, and otherwise every Config.Refresh. What differs then is reported
// as any other change.
//
// # Concurrency
//
// All methods may be called from any goroutine. Changes are reported one at a time, in the
// order in which the copy took them. One goroutine, that of Run, reads the database.
package inventory
