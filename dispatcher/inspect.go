package dispatcher

import "fmt"

// DemandSnapshot is the state of a [Demand] at one moment.
type DemandSnapshot struct {
	// Subscriptions is the number of subscriptions with demand, Demand the sum of
	// their demand.
	Subscriptions int `json:"subscriptions"`
	Demand        int `json:"demand"`
	// Most and Least are the greatest demand of a subscription and the least one
	// above 0.
	Most  int `json:"most"`
	Least int `json:"least"`
}

// HandleInspect returns a [DemandSnapshot].
func (d *Demand[T]) HandleInspect() any {
	s := DemandSnapshot{Demand: d.total}
	for i := range d.order.subs {
		n := d.order.subs[i].outstanding
		if n == 0 {
			continue
		}
		if s.Subscriptions++; s.Subscriptions == 1 || n < s.Least {
			s.Least = n
		}
		s.Most = max(s.Most, n)
	}
	return s
}

// BroadcastSnapshot is the state of a [Broadcast] at one moment.
type BroadcastSnapshot struct {
	// Subscriptions is the number of subscriptions, Selecting the number of those
	// with a selector.
	Subscriptions int `json:"subscriptions"`
	Selecting     int `json:"selecting"`
	// Demand is the least demand of a subscription, which all can be given; Most
	// is the greatest one.
	Demand int `json:"demand"`
	Most   int `json:"most"`
	// Waiting is the number of subscriptions without demand, which delay the
	// others.
	Waiting int `json:"waiting"`
	// Sent is the number of events that were dispatched.
	Sent int `json:"sent"`
}

// HandleInspect returns a [BroadcastSnapshot].
func (b *Broadcast[T]) HandleInspect() any {
	s := BroadcastSnapshot{Subscriptions: len(b.heap), Selecting: b.selecting, Demand: b.Demand(), Sent: b.sent}
	for i := range b.heap {
		n := b.heap[i].Key - b.sent
		s.Most = max(s.Most, n)
		if n <= 0 {
			s.Waiting++
		}
	}
	return s
}

// PartitionSnapshot is the state of a [Partition] at one moment.
type PartitionSnapshot struct {
	// Held is the number of events that wait for their partition's subscriber, of
	// at most Capacity.
	Held     int `json:"held"`
	Capacity int `json:"capacity"`
	// Demand is the demand beyond the held events.
	Demand int `json:"demand"`
	// Partitions are all partitions, in order.
	Partitions []PartitionState `json:"partitions"`
}

// PartitionState is one partition in a [PartitionSnapshot].
type PartitionState struct {
	Name string `json:"name"`
	// Taken reports whether the partition has a subscriber.
	Taken bool `json:"taken"`
	// Demand is the demand of its subscriber, Held the number of events that wait
	// for it.
	Demand int `json:"demand"`
	Held   int `json:"held"`
}

// HandleInspect returns a [PartitionSnapshot].
func (p *Partition[T]) HandleInspect() any {
	s := PartitionSnapshot{Held: p.held, Capacity: p.capacity, Demand: p.Demand(), Partitions: make([]PartitionState, len(p.parts))}
	for i := range p.parts {
		part := &p.parts[i]
		s.Partitions[i] = PartitionState{
			Name: p.nameOf(i), Taken: part.sub >= 0, Demand: part.outstanding, Held: part.queue.Len(),
		}
	}
	return s
}

// nameOf returns the name under which a subscriber takes a partition.
func (p *Partition[T]) nameOf(i int) string {
	if i < len(p.names) {
		return p.names[i]
	}
	return fmt.Sprint(i)
}

// namesOf returns partition names for a snapshot.
func namesOf[K any](names []K) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = fmt.Sprint(name)
	}
	return all
}
