// Package lease is a source of events from a store that hands out items one by one
// for a time, such as a stream with consumer groups or a table of jobs. It has what
// such sources share; a [Store] knows the server.
//
//	store ──▶ fetcher ──▶ stage ──▶ consumers
//	  ▲  ▲                  │           │
//	  │  └── renewer        ◀─ receipts ┘
//	  └───── settler ◀──────┘
//
// A fetch leases at most as many items as the stage has asked for and not received. The
// renewer prolongs the leases of all items that have not been settled, so that a slow
// handler keeps its items and those of a dead process become free. The settler passes
// the ends of items to the store, as many at once as have gathered meanwhile, and until
// the store has taken them.
//
// The core decides, without goroutine, lock or clock. Three goroutines use it besides the
// stage's: fetcher, settler and renewer. The lock is never held while something of the
// store's, the user's, the logger's or the recorder's is called.
package lease
