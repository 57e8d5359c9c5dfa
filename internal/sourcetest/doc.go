// Package sourcetest has the cases that every source with receipts must hold, whatever
// its server: exact demand, receipts before acknowledgements, redelivery after a kill, order
// by key, drains under load, servers that stop and are killed, connections that are cut,
// poison, and an outage behind the source. [Run] runs those that a [Backend] can do.
//
// The cases use real time and real servers; a package of a source makes a backend of each.
package sourcetest
