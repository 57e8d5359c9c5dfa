package producer

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestOldestOfAQueue compares with the time of each push: the age is never more than the
// true one, and less by no more than the time since the snapshot before the push was
// noted, as long as all snapshots are remembered.
func TestOldestOfAQueue(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		now := time.Unix(0, 0)
		var a ages
		var queue []time.Time
		var gone, pushed int64
		for range 500 {
			now = now.Add(time.Second)
			for range r.IntN(3) {
				queue = append(queue, now.Add(-time.Duration(r.IntN(1000))*time.Millisecond))
				pushed++
			}
			if leave := r.IntN(3); r.IntN(40) > 0 && leave <= len(queue) {
				queue, gone = queue[leave:], gone+int64(leave)
			} else if r.IntN(3) == 0 {
				gone += int64(len(queue))
				queue = nil
			}
			age := a.oldest(now, gone, pushed)
			if len(queue) == 0 {
				if age != 0 {
					t.Fatalf("seed %d: an empty queue is %v old", seed, age)
				}
				continue
			}
			exact := now.Sub(queue[0])
			if age > exact {
				t.Fatalf("seed %d: %v, but the first event waits for %v", seed, age, exact)
			}
			if len(a.marks) < maxMarks/2 && age < exact-time.Second && pushed < maxMarks {
				t.Fatalf("seed %d: %v, and the first event waits for %v", seed, age, exact)
			}
			if len(a.marks) > maxMarks {
				t.Fatal(len(a.marks))
			}
		}
	}
}
