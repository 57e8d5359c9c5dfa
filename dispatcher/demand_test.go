package dispatcher

import (
	"math"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/internal/option"
)

// outstanding lists what d's subscriptions have asked for in the order in which
// they are served.
func outstanding(d *Demand[int]) (order []int) {
	o := d.order
	o.subs, o.lists, o.heap = slices.Clone(o.subs), slices.Clone(o.lists), slices.Clone(o.heap)
	o.moved = func(sub uint32, at int) { o.subs[sub].at = int32(at) }
	for sub := o.first(); sub != none; sub = o.first() {
		order = append(order, o.subs[sub].outstanding)
		o.subs[sub].outstanding = 0
		o.requeue(sub)
	}
	return order
}

var demandCases = []kase{
	{"G125_no_demand", func(t *testing.T) {
		d := NewDemand[int]()
		k := newDesk(t, d)
		k.want("upstream", k.subscribe(0, SubscribeConfig{}), 0)
		k.want("upstream", k.cancel(0), 0)
		k.want("outstanding", outstanding(d), "[]")
	}},
	{"G126_cancel_keeps_demand_pending", func(t *testing.T) {
		d := NewDemand[int]()
		k := newDesk(t, d)
		k.subscribe(0, SubscribeConfig{})
		k.want("upstream", k.ask(0, 10), 10)
		k.want("upstream", k.cancel(0), 0)
		k.want("pending", k.told, 10)
		k.subscribe(0, SubscribeConfig{})
		k.want("upstream", k.ask(0, 5), 0)
		k.want("outstanding", outstanding(d), "[5]")
		k.cancel(0)
		k.want("pending", k.told, 10)
		k.want("left over", k.dispatch(1, 2, 3), "[1 2 3]")
		k.want("pending", k.told, 7)
		k.dispatch(ints(0, 10)...)
		k.want("pending", k.told, 0)
	}},
	{"G128_left_over_what_nobody_asked_for", func(t *testing.T) {
		d := NewDemand[int]()
		k := newDesk(t, d)
		k.subscribe(0, SubscribeConfig{})
		k.ask(0, 3)
		k.dispatch(1)
		k.want("outstanding", outstanding(d), "[2]")
		k.want("upstream", k.ask(0, 3), 3)
		k.want("outstanding", outstanding(d), "[5]")
		k.want("left over", k.dispatch(2, 3, 4, 5, 6, 7, 8), "[7 8]")
		k.want("got", k.taken(0), "[1 2 3 4 5 6]")
		k.want("outstanding", outstanding(d), "[]")
		k.want("left over", k.dispatch(9, 10), "[9 10]")
		k.want("got", k.taken(0), "[]")
	}},
	{"G129_the_greatest_demand_first", func(t *testing.T) {
		d := NewDemand[int]()
		k := newDesk(t, d)
		for i := range 3 {
			k.subscribe(i, SubscribeConfig{})
		}
		k.want("upstream", k.ask(0, 4), 4)
		k.want("upstream", k.ask(1, 2), 2)
		k.want("upstream", k.ask(2, 3), 3)
		k.want("outstanding", outstanding(d), "[4 3 2]")
		k.want("upstream", k.ask(2, 2), 2)
		k.want("outstanding", outstanding(d), "[5 4 2]")
		k.want("upstream", k.ask(1, 4), 4)
		k.want("outstanding", outstanding(d), "[6 5 4]")
	}},
}

func TestDemandDoesNotSpreadABatch(t *testing.T) {
	k := newDesk(t, NewDemand[int]())
	for i := range 3 {
		k.subscribe(i, SubscribeConfig{})
		k.ask(i, 10)
	}
	k.dispatch(ints(0, 12)...)
	k.want("got", []int{len(k.taken(0)), len(k.taken(1)), len(k.taken(2))}, "[10 2 0]")
}

func TestDemandSingleEventsGoRound(t *testing.T) {
	k := newDesk(t, NewDemand[int]())
	for i := range 3 {
		k.subscribe(i, SubscribeConfig{})
		k.ask(i, 10)
	}
	for i := range 12 {
		k.dispatch(i)
	}
	k.want("got", k.taken(0), "[0 3 6 9]")
	k.want("got", k.taken(1), "[1 4 7 10]")
	k.want("got", k.taken(2), "[2 5 8 11]")
}

func TestDemandBatchesGoRound(t *testing.T) {
	k := newDesk(t, NewDemand[int]())
	for i := range 3 {
		k.subscribe(i, SubscribeConfig{})
		k.ask(i, 10)
	}
	for i := range 4 {
		k.dispatch(i*3, i*3+1, i*3+2)
	}
	k.want("got", k.taken(0), "[0 1 2 9 10 11]")
	k.want("got", k.taken(1), "[3 4 5]")
	k.want("got", k.taken(2), "[6 7 8]")
}

func TestDemandSaturates(t *testing.T) {
	for name, d := range map[string]Dispatcher[int]{"demand": NewDemand[int](), "broadcast": NewBroadcast[int](), "partition": option.Must(NewPartition(2, half, PartitionConfig{}))} {
		t.Run(name, func(t *testing.T) {
			k := newDesk(t, d)
			k.multi = true
			for sub := range 2 {
				var opts SubscribeConfig
				if name == "partition" {
					opts.Partition = sub
				}
				k.subscribe(sub, opts)
			}
			for range 3 {
				k.ask(0, math.MaxInt)
				k.ask(1, math.MaxInt-1)
			}
			if n := d.Demand(); n < DefaultPartitionCapacity {
				t.Fatal(n)
			}
			k.dispatch(ints(0, 10)...)
			k.cancel(0)
			if n := d.Demand(); n < DefaultPartitionCapacity-10 {
				t.Fatal(n)
			}
			k.dispatch(ints(0, 10)...)
			k.cancel(1)
			k.want("demand", d.Demand(), 0)
		})
	}
}

// half sends even numbers to partition 0 and odd ones to 1.
func half(v int) (int, bool) { return v & 1, true }

var costCases = []kase{
	{"X7_an_ask_costs_the_same_with_3000_subscriptions", func(t *testing.T) {
		d := NewDemand[int]()
		const subs = 3000
		for i := range subs {
			if err := d.Subscribe(i, SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			d.Ask(i, 1+i%7)
		}
		before := make([]demandSub, subs)
		for i := range 10_000 {
			copy(before, d.order.subs)
			d.Ask(i*31%subs, 1+i%5)
			touched := 0
			for j := range before {
				if before[j] != d.order.subs[j] {
					touched++
				}
			}
			// Its own, and its neighbours' in the list that it leaves and in the next one.
			most := 4
			if d.order.subs[i*31%subs].list == inHeap {
				most = 2 + 2*13 // the depth of the heap, twice
			}
			if touched > most {
				t.Fatalf("ask %d touched %d subscriptions", i, touched)
			}
		}
	}},
}
