// Command sneakers is a shop for limited shoes on Penstock: thousands of shoppers watch one
// page, sizes sell out in seconds, and what is gone cannot be bought.
//
//	go run ./examples/sneakers
//
//	browser ──▶ pages, forms ──▶ checkout: one transaction ──▶ SQLite or PostgreSQL
//	   ▲                                │
//	   │                                ▼
//	   └── product:*, cart:* ◀── copy of the inventory ◀──▶ copies of other nodes
//	   └── push_timed ◀── fair pipeline ◀──┘
//
// It uses only what the library exports, so that all of it can be copied. docs/sneakers.md
// walks through it.
package main
