package dispatcher

import (
	"fmt"
	"math"
	"reflect"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// DefaultPartitionCapacity is the default of PartitionConfig.Capacity for up to 156
// partitions; beyond that it is 64 for each.
const DefaultPartitionCapacity = 10_000

const partitionOwner = option.Owner("dispatcher.Partition")

// PartitionConfig configures a [Partition]. The zero value is useful.
type PartitionConfig struct {
	// Capacity bounds the events that wait in all partitions together for their
	// partition's subscriber, 1 or more. Default: 10,000, or 64 for each partition if that
	// is more.
	Capacity int
}

// Partition hands each event to the one subscription that has taken the event's
// partition, in the order of emission for each partition. A subscriber names its
// partition with SubscribeConfig.Partition; a subscriber that names none, an
// unknown one or one that is taken is refused.
//
// An event whose partition has no demand is held, while others have some, until
// its subscriber asks or another one has taken the partition: the end of a
// subscription loses no event that was held for it. When Capacity events are held,
// the next one that would have to be held waits with all later ones, so a
// partition that is never served finally stops the others; nothing is dropped for
// it, and the stage logs it. A Capacity of math.MaxInt lets the others go on, for as
// long as there is memory. Consumers that are to share a partition subscribe to a
// producer-consumer which has taken it. An event without a partition is discarded as NoPartition and uses up no
// demand. An unknown partition from the hash function is a panic, which stops the
// stage.
//
// The rule is that of GenStage's PartitionDispatcher, except that events held for
// a busy partition do not use up the demand of the others. An Ask costs
// O(1), an event O(1). With a cheap hash function its call is a large part of that,
// which [NewPartitionBatch] saves.
type Partition[T any] struct {
	hash     func(T) (int, bool)
	hashAll  func([]T, []int32) // nil: hash is called for each event
	find     func(any) (int, bool)
	allowed  string
	names    []string // of named partitions, for snapshots
	capacity int

	parts []partition[T]
	owned []int32 // by subscription: its partition, -1 if none
	open  int     // demand of all partitions beyond their held events
	held  int
	// orphans counts those of the held events whose partition is not taken.
	orphans int
	ready   []int32 // partitions that hold events and may have demand for them
	homes   []int32 // of a run of events: their partitions
	unset   []int32 // what homes are before hashAll is called
	used    []int32 // partitions that have got events in this Dispatch

	saturated bool // open may be less than the sum, and is counted again later
}

// partition is one partition: its subscription, that one's demand, and the events
// that wait for it.
type partition[T any] struct {
	sub int32 // -1: not taken
	// What the subscription has asked for and not got; 0 without one.
	outstanding int
	queue       heldQueue[T]
	ready       bool

	// In the running Dispatch: the partition's places in the offer, how many of
	// them were counted, and how many of those, the first ones, go to the
	// subscriber rather than to the queue.
	picked         []int32
	counted, given int
}

// NewPartition returns a dispatcher with partitions 0 to n-1. hash returns an
// event's partition, and false for an event that belongs in none. An error is an
// [*OptionError].
func NewPartition[T any](n int, hash func(event T) (partition int, ok bool), cfg PartitionConfig) (*Partition[T], error) {
	if err := cfg.validate(n, hash == nil); err != nil {
		return nil, err
	}
	return numbered(n, hash, nil, cfg), nil
}

// NewPartitionBatch is NewPartition for a hash function that is called once for many
// events. hash writes the partition of events[i] to partitions[i], for each i, and a
// negative number for an event that belongs in none. Both slices have the same length
// and may be used only during the call, and events must not be changed. An event whose
// partition was not written is a panic, like an unknown partition.
func NewPartitionBatch[T any](n int, hash func(events []T, partitions []int32), cfg PartitionConfig) (*Partition[T], error) {
	if err := cfg.validate(n, hash == nil); err != nil {
		return nil, err
	}
	one := func(event T) (int, bool) {
		at := []int32{unsetPartition}
		hash([]T{event}, at)
		return int(at[0]), at[0] >= 0
	}
	return numbered(n, one, hash, cfg), nil
}

// numbered makes a dispatcher with partitions 0 to n-1.
func numbered[T any](n int, hash func(T) (int, bool), hashAll func([]T, []int32), cfg PartitionConfig) *Partition[T] {
	p := &Partition[T]{hash: hash, hashAll: hashAll, allowed: fmt.Sprintf("an int from 0 to %d", n-1)}
	p.find = func(name any) (int, bool) {
		i, ok := name.(int)
		return i, ok && i >= 0 && i < len(p.parts)
	}
	p.init(n, cfg)
	return p
}

// NewNamedPartition is NewPartition for partitions with names.
func NewNamedPartition[T any, K comparable](names []K, hash func(event T) (name K, ok bool), cfg PartitionConfig) (*Partition[T], error) {
	if err := cfg.validate(len(names), hash == nil); err != nil {
		return nil, err
	}
	index := make(map[K]int, len(names))
	for i, name := range names {
		if !reflect.ValueOf(&name).Elem().Comparable() || name != name {
			return nil, partitionOwner.Refuse("names", names, "names that are equal to themselves")
		}
		index[name] = i
	}
	if len(index) < len(names) {
		return nil, partitionOwner.Refuse("names", names, "names that differ from each other")
	}
	p := &Partition[T]{allowed: fmt.Sprintf("one of %v", names), names: namesOf(names)}
	p.find = func(name any) (int, bool) {
		k, ok := name.(K)
		if !ok {
			return 0, false
		}
		i, ok := index[k]
		return i, ok
	}
	p.hash = func(event T) (int, bool) {
		name, ok := hash(event)
		if !ok {
			return 0, false
		}
		i, known := index[name]
		if !known {
			panic(fmt.Sprintf("partition: the hash function returned %v, which is not %s", name, p.allowed))
		}
		return i, true
	}
	p.init(len(names), cfg)
	return p, nil
}

// validate checks the options of a dispatcher with n partitions.
func (c PartitionConfig) validate(n int, noHash bool) error {
	return option.First(
		option.Within(partitionOwner, "partitions", n, 1, math.MaxInt32),
		partitionOwner.Check(!noHash, "hash", nil, "a function"),
		option.AtLeast(partitionOwner, "Capacity", c.Capacity, 0),
	)
}

// init makes n partitions without subscriptions. The options have been validated.
func (p *Partition[T]) init(n int, cfg PartitionConfig) {
	p.capacity = cfg.Capacity
	option.Default(&p.capacity, max(DefaultPartitionCapacity, 64*n))
	p.parts = make([]partition[T], n)
	for i := range p.parts {
		p.parts[i].sub = -1
	}
}

// Subscribe implements Dispatcher. It refuses with an *OptionError.
func (p *Partition[T]) Subscribe(sub int, opts SubscribeConfig) error {
	if err := partitionOwner.Unused("Selector", opts.Selector, "dispatcher.Broadcast"); err != nil {
		return err
	}
	if opts.Partition == nil {
		return partitionOwner.Refuse("Partition", nil, p.allowed)
	}
	i, ok := p.find(opts.Partition)
	if !ok {
		return partitionOwner.Refuse("Partition", opts.Partition, p.allowed)
	}
	part := &p.parts[i]
	if part.sub >= 0 {
		return partitionOwner.Refuse("Partition", opts.Partition, fmt.Sprintf("one that subscription %d has not taken", part.sub))
	}
	for len(p.owned) <= sub {
		p.owned = append(p.owned, -1)
	}
	p.owned[sub] = int32(i)
	part.sub = int32(sub)
	p.orphans -= part.queue.Len()
	return nil
}

// Ask implements Dispatcher.
func (p *Partition[T]) Ask(sub, n int) {
	i := p.owned[sub]
	part := &p.parts[i]
	before := part.open()
	part.outstanding = addSaturating(part.outstanding, n)
	p.open = addSaturating(p.open, part.open()-before)
	p.saturated = p.saturated || p.open == math.MaxInt
	p.prepare(i)
}

// Cancel implements Dispatcher. What is held for the partition stays.
func (p *Partition[T]) Cancel(sub int) {
	if p.owned[sub] < 0 {
		return
	}
	part := &p.parts[p.owned[sub]]
	p.owned[sub] = -1
	p.open -= part.open()
	part.sub, part.outstanding = -1, 0
	p.orphans += part.queue.Len()
	p.recount()
}

// Demand implements Dispatcher: the demand beyond the held events, within the room
// to hold events of other partitions.
func (p *Partition[T]) Demand() int { return min(p.open, max(0, p.capacity-p.held)) }

// Held implements Holder.
func (p *Partition[T]) Held() int { return p.held }

// HeldFor returns the number of events that wait for a partition's subscriber, 0
// for an unknown partition.
func (p *Partition[T]) HeldFor(name any) int {
	i, ok := p.find(name)
	if !ok {
		return 0
	}
	return p.parts[i].queue.Len()
}

// PutBack implements Returner.
func (p *Partition[T]) PutBack(event T, seq uint64) {
	at, ok := p.hash(event)
	if !ok || uint(at) >= uint(len(p.parts)) {
		at = 0 // the hash function returned another partition before; the event is kept
	}
	part := &p.parts[at]
	before := part.open()
	part.queue.pushFront(event, seq)
	p.held++
	if part.sub < 0 {
		p.orphans++
	}
	p.open += part.open() - before
	p.prepare(int32(at))
}

// DiscardHeld implements Holder.
func (p *Partition[T]) DiscardHeld(out Out[T], reason receipt.Reason) {
	for i := range p.parts {
		before := p.parts[i].open()
		p.discard(i, out, reason)
		p.open += p.parts[i].open() - before
	}
	p.recount()
}

// Orphans implements Orphanage: the events that wait in partitions without a
// subscription.
func (p *Partition[T]) Orphans() int { return p.orphans }

// DiscardOrphans implements Orphanage: it discards the events that wait in
// partitions without a subscription.
func (p *Partition[T]) DiscardOrphans(out Out[T], reason receipt.Reason) {
	for i := range p.parts {
		if p.parts[i].sub < 0 {
			p.discard(i, out, reason)
		}
	}
}

// discard discards what one partition holds. It leaves p.open to the caller, which
// may change with it.
func (p *Partition[T]) discard(i int, out Out[T], reason receipt.Reason) {
	for q := &p.parts[i].queue; q.Len() > 0; {
		events, seqs := q.front(q.Len())
		for j, event := range events {
			out.Discard(event, seqs[j], reason)
		}
		p.held -= len(events)
		if p.parts[i].sub < 0 {
			p.orphans -= len(events)
		}
		q.drop(len(events))
	}
}

// prepare makes the next Dispatch look at a partition that holds events.
func (p *Partition[T]) prepare(i int32) {
	if part := &p.parts[i]; !part.ready && part.queue.Len() > 0 {
		part.ready = true
		p.ready = append(p.ready, i)
	}
}

// open returns the demand beyond the held events: what new events may be given at
// once.
func (part *partition[T]) open() int { return max(0, part.outstanding-part.queue.Len()) }

// recount computes the sum again after it had saturated.
func (p *Partition[T]) recount() {
	if !p.saturated {
		return
	}
	p.open = 0
	for i := range p.parts {
		p.open = addSaturating(p.open, p.parts[i].open())
	}
	p.saturated = p.open == math.MaxInt
}
