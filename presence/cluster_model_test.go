package presence_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// TestModelOfACluster runs whole clusters in virtual time: hubs, deliveries with
// reports, a room, and presences, on a network with faults by chance. PENSTOCK_SEED=n
// or n+count chooses seeds, and PENSTOCK_LONG=1 runs 10,000.
func TestModelOfACluster(t *testing.T) {
	first, n := uint64(0), uint64(300)
	if os.Getenv("PENSTOCK_LONG") != "" {
		n = 10_000
	}
	if s := os.Getenv("PENSTOCK_SEED"); s != "" {
		a, count, several := strings.Cut(s, "+")
		var err error
		if first, err = strconv.ParseUint(a, 10, 64); err != nil {
			t.Fatal(err)
		}
		n = 1
		if several {
			if n, err = strconv.ParseUint(count, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	var total simTotals
	for seed := first; seed < first+n; seed++ {
		synctest.Test(t, func(t *testing.T) { newSim(t, seed, &total).life() })
		if t.Failed() {
			return // a line of the bubble has the seed
		}
	}
	t.Logf("%+v", total)
	// A model in which nothing happens would always be green.
	if n >= 100 && (total.Delivered == 0 || total.Expired == 0 || total.Repeated == 0 || total.Gaps == 0 || total.Resumed == 0 || total.Deaths == 0 || total.Downs == 0) {
		t.Errorf("something never happened: %+v", total)
	}
}
