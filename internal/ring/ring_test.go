package ring

import (
	"fmt"
	"slices"
	"testing"
)

// drive does to a ring and to a slice what data says, and compares them.
func drive(t *testing.T, data []byte) {
	var r Ring[int]
	var want []int
	next := 1
	for step, b := range data {
		n := int(b >> 3)
		var fresh []int
		for range n {
			fresh = append(fresh, next)
			next++
		}
		switch b & 7 {
		case 0:
			r.Push(next)
			want = append(want, next)
			next++
		case 1:
			r.PushAll(fresh)
			want = append(want, fresh...)
		case 2:
			r.PushFront(next)
			want = slices.Insert(want, 0, next)
			next++
		case 3:
			first, second := r.Extend(n)
			for _, v := range slices.Concat(first, second) {
				if v != 0 {
					t.Fatalf("step %d: a new item holds %d", step, v)
				}
			}
			copy(first, fresh)
			copy(second, fresh[len(first):])
			want = append(want, fresh...)
		case 4, 5:
			n = min(n, r.Len())
			r.Drop(n)
			want = want[n:]
		case 6:
			if r.Len() > 0 {
				if n%2 == 0 {
					r.Shift()
				} else if v := r.Pop(); v != want[0] {
					t.Fatalf("step %d: popped %d, want %d", step, v, want[0])
				}
				want = want[1:]
			}
		case 7:
			front := r.Front()
			if len(front) > len(want) || !slices.Equal(front, want[:len(front)]) || len(front) == 0 && len(want) > 0 {
				t.Fatalf("step %d: front %v of %v", step, front, want)
			}
		}
		if r.Len() != len(want) {
			t.Fatalf("step %d: %d items, want %d", step, r.Len(), len(want))
		}
		for i, v := range want {
			if *r.At(i) != v {
				t.Fatalf("step %d: item %d is %d, want %d", step, i, *r.At(i), v)
			}
		}
	}
}

func FuzzRing(f *testing.F) {
	f.Add([]byte{0x41, 0x10, 0x34, 0xf9, 0x02, 0x02, 0x7b, 0x6c, 0x07, 0x06})
	f.Add([]byte{0xfb, 0xfc, 0xfb, 0xfc, 0xfb, 0x22, 0xfd, 0x7f})
	f.Fuzz(drive)
}

func TestRingForgetsWhatWasTaken(t *testing.T) {
	var r Ring[*int]
	for i := range 20 {
		r.Push(&i)
	}
	r.Pop()
	r.Shift()
	r.Drop(18)
	for i, p := range r.items {
		if p != nil {
			t.Fatalf("item %d is kept", i)
		}
	}
}

func TestRingRefusesWhatIsNotThere(t *testing.T) {
	var r Ring[int]
	r.Push(1)
	for name, f := range map[string]func(){
		"at":   func() { r.At(1) },
		"drop": func() { r.Drop(2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}

func Example() {
	var r Ring[string]
	r.PushAll([]string{"b", "c"})
	r.PushFront("a")
	for r.Len() > 0 {
		fmt.Print(r.Pop(), " ")
	}
	// Output: a b c
}
