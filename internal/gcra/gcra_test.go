package gcra

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A bucket lets a burst pass and then the rate, and saves up no more than it
// holds.
func TestBurstThenRate(t *testing.T) {
	const second = int64(time.Second)
	var b Bucket
	cost, hold := Cost(1, 10), Cost(5, 10)
	pass := func(now int64) bool {
		after := b
		if after.Take(now, cost); after.Ready(hold) > now {
			return false
		}
		b = after
		return true
	}
	count := func(from, to, step int64) (n int) {
		for now := from; now < to; now += step {
			if pass(now) {
				n++
			}
		}
		return n
	}
	if n := count(0, 1, 1); n != 1 {
		t.Fatal("the zero value is not full", n)
	}
	for range 4 {
		pass(0)
	}
	if pass(0) {
		t.Fatal("more than a burst at once")
	}
	if n := count(second, 3*second, second/1000); n != 5+19 {
		t.Fatalf("%d in two seconds after a pause, want the burst and the rate", n)
	}
	if n := count(100*second, 101*second, second/1000); n != 5+9 {
		t.Fatalf("%d in a second after a long pause", n)
	}
}

// Over any time the bucket lets no more pass than what it holds and the rate.
func TestNeverMoreThanTheRate(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		rate, burst := 1+rnd.Float64()*1000, 1+rnd.IntN(20)
		cost, hold := Cost(1, rate), Cost(1, rate)*int64(burst)
		var b Bucket
		var passed []int64
		now := int64(0)
		for range 2000 {
			now += rnd.Int64N(2*cost + 1)
			after := b
			if after.Take(now, cost); after.Ready(hold) <= now {
				b = after
				passed = append(passed, now)
			}
		}
		for i := range passed {
			j := min(i+burst, len(passed)-1)
			if n := int64(j - i); n >= int64(burst) && passed[j]-passed[i] < (n-int64(burst)+1)*cost {
				t.Fatalf("rate %f, burst %d: %d events in %d ns", rate, burst, n+1, passed[j]-passed[i])
			}
		}
	}
}

func TestTakeSaturates(t *testing.T) {
	b := Bucket(math.MaxInt64 - 1)
	if b.Take(5, math.MaxInt64/4); b != math.MaxInt64 {
		t.Error(b)
	}
	if c := Cost(math.MaxInt, 1e-300); c != 1<<61 {
		t.Error(c)
	}
}
