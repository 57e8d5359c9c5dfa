package ring

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Skip drops from the front without clearing, which nothing but Extend would notice.
func TestSkip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var r Ring[int]
	var want []int
	for next := range 10_000 {
		switch rng.IntN(4) {
		case 0:
			r.Push(next)
			want = append(want, next)
		case 1:
			fresh := []int{next, -next, next}
			r.PushAll(fresh)
			want = append(want, fresh...)
		case 2:
			n := rng.IntN(r.Len() + 1)
			r.Skip(n)
			want = want[n:]
		case 3:
			if front := r.Front(); !slices.Equal(front, want[:len(front)]) || len(front) == 0 && len(want) > 0 {
				t.Fatalf("front %v of %v", front, want)
			}
		}
		if r.Len() != len(want) {
			t.Fatalf("%d items, want %d", r.Len(), len(want))
		}
		for i, v := range want {
			if *r.At(i) != v {
				t.Fatalf("item %d is %d, want %d", i, *r.At(i), v)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Fatal("more was skipped than there is")
		}
	}()
	r.Skip(r.Len() + 1)
}
