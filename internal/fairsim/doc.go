// Package fairsim simulates a pool of workers behind a queue in virtual time,
// to measure what a flood does to the users that do not take part in it. A run is
// a pure function of its configuration: no clock, no goroutine, the same seed
// gives the same figures on every machine.
//
// Queues are compared under the same arrivals and the same service times:
// [FIFO], [Partitioned], [RoundRobin] and, by [NewFair], the dispatcher itself.
package fairsim
