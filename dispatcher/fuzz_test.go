package dispatcher

import (
	"testing"

	"github.com/penstock-go/penstock/internal/option"
)

// drive makes a stage's calls of data: two bits what, two bits to whom, four
// bits how much.
func drive(k *desk, data []byte) {
	next := 0
	var rest []int
	for _, b := range data {
		sub, n := int(b>>2&3), int(b>>4)
		_, live := k.asked[sub]
		switch {
		case !live:
			opts := SubscribeConfig{Consumer: uint64(sub + 1)}
			if _, parted := k.d.(*Partition[int]); parted {
				opts.Partition = sub
			}
			if k.multi && n > 8 {
				opts.Selector = func(v int) bool { return v%n != 0 }
			}
			k.subscribe(sub, opts)
		case b&3 == 0 && n == 0:
			k.cancel(sub)
		case b&3 < 2:
			k.ask(sub, n+1)
		default:
			for range n {
				rest = append(rest, next)
				next++
			}
			rest = k.dispatch(rest...)
			for sub, got := range k.got {
				for i := 1; i < len(got); i++ {
					if got[i] <= got[i-1] {
						k.t.Fatalf("subscription %d got %v", sub, got)
					}
				}
			}
		}
	}
}

func FuzzDemand(f *testing.F) {
	f.Add([]byte{0x00, 0x10, 0x04, 0x51, 0xf2, 0x08, 0x09, 0xa3})
	f.Fuzz(func(t *testing.T, data []byte) { drive(newDesk(t, NewDemand[int]()), data) })
}

func FuzzBroadcast(f *testing.F) {
	f.Add([]byte{0x00, 0x10, 0x94, 0x51, 0x55, 0xf2, 0x08, 0x09, 0xa3})
	f.Fuzz(func(t *testing.T, data []byte) {
		k := newDesk(t, NewBroadcast[int]())
		k.multi = true
		drive(k, data)
	})
}

func FuzzPartition(f *testing.F) {
	f.Add([]byte{0x00, 0x10, 0x94, 0x51, 0x55, 0xf2, 0x08, 0x09, 0xa3})
	f.Fuzz(func(t *testing.T, data []byte) {
		hash := func(v int) (int, bool) { return v & 3, v%11 != 0 }
		drive(newDesk(t, option.Must(NewPartition(4, hash, PartitionConfig{Capacity: 5}))), data)
	})
}
