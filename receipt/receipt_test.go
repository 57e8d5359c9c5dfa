package receipt_test

import (
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/receipt"
)

func TestOfSeveralPartsTheWorstDecides(t *testing.T) {
	order := []receipt.Outcome{receipt.Done, receipt.Discarded, receipt.Failed, receipt.Abandoned}
	for i, a := range order {
		for j, b := range order {
			if got := a.Worse(b); got != (i > j) {
				t.Errorf("%v worse than %v: %v", a, b, got)
			}
		}
	}
	if receipt.Returned.Worse(receipt.Abandoned) || !receipt.Requeued.Worse(receipt.Failed) {
		t.Error("Returned and Requeued do not count as Abandoned")
	}
}

func ExampleOutcome() {
	fmt.Println(receipt.Done, receipt.Abandoned, receipt.Outcome(9))
	fmt.Println(receipt.Failed.Worse(receipt.Discarded))
	// Output:
	// done abandoned unknown
	// true
}
