// Package postgres is a source of jobs from a table in PostgreSQL: rows that the
// program inserts in its own transactions, and that processes lease, handle and delete.
//
//	tx:  INSERT INTO orders …;  postgres.Enqueue(ctx, tx, job)     // both or neither
//
// [Schema] is the table, and [Migrate] makes it. [Enqueue] adds jobs through a pool, a
// connection or a transaction: a job exists if and only if its transaction commits (the
// outbox pattern). A job with [Job].RunAt is delivered at that time or later.
//
// # Demand
//
// A fetch leases at most as many jobs as the stage has asked for and not received (SELECT …
// FOR UPDATE SKIP LOCKED), and none while [Config.Window] of them have no end in the table.
// The transaction ends with the fetch: no handler runs inside of one. Without demand nothing
// is fetched. New jobs are announced (LISTEN, NOTIFY), so that a source that waits has
// them at once; [Config.PollInterval] is the fallback, and how late a job may come whose
// lease has run out.
//
// # Delivery
//
// At least once, through any pipeline. A job is deleted, or marked as done with
// [Config.KeepDone], after its receipt with the outcome Done or Discarded, and never
// earlier. What the receipt of an event waits for, and so what is stored before the job is
// deleted, is as with every source with receipts: all that the stages have made of it, and
// its dead letter if its step has a sink for them. A job with the outcome Failed stays in
// the table with the state 'dead' and the first 1,024 bytes of its error, from where [Revive]
// takes it back; one with the outcome Abandoned is free at once, and is delivered again.
// Jobs that are done stay until [Sweep] deletes them, and dead ones until the program does.
//
// A job is leased for [Config.Lease]. The producer renews that for all jobs in work, every
// third of the lease, so that a slow handler keeps its jobs however long it takes. The
// jobs of a process that has died are free when the lease is over.
//
// After a crash exactly those jobs are delivered again that were in flight or whose end had
// not reached the table: together never more than Window. A process that was cut off
// from PostgreSQL for longer than the lease goes on with what it has while others may have
// leased it: then a job is handled twice. The end of a lease that was lost changes nothing
// in the table.
//
// All this is as durable as PostgreSQL: with synchronous_commit off a crash of the server
// loses the last moments, and so does a fail-over to an asynchronous replica.
//
// # Order
//
// Jobs are leased by the time at which they are due and then by their id. Several
// processes, several workers and redelivery mix that.
//
// With [Config.Ordered] a job with a key is leased only when every job of that key in its
// queue that is due earlier, or has a lower id and is due at the same time, has been deleted,
// done or dead: at most one job of a key is out, and its next one follows when its receipt
// is in the table. That holds across processes, crashes and redelivery. It takes a round
// trip for each job of a key, and all processes of a queue must have it set. Jobs of a key
// that are enqueued by transactions at the same time have no order between them; those in one
// call of Enqueue, or one after the other, have.
//
// # Bad jobs
//
// A job is poison if [Config.Decode] returns an error or panics, or if it was leased more
// than [Config.MaxAttempts] times, as one that kills its process each time. It is counted,
// logged and dead in the table, with the error; with [Config.DeadLetters] not before its
// letter is stored.
//
// # Failure
//
// A PostgreSQL that is absent or refuses statements is tried again without end, with the
// pauses of [Config.Retry], logged at most once a second, counted and shown by
// [Producer.Snapshot]. Nothing busy-loops. A table that is missing is such an error:
// the program calls Migrate.
//
// # Shutdown
//
// A drain fetches nothing more; jobs that were leased and not emitted are free again at
// once. When the stage ends, all ends are written and what has no receipt is free again,
// within [Config.CloseTimeout].
package postgres
