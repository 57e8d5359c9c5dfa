package cases

import (
	"fmt"
	"testing"
)

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{"": "[] true", "1-3 5": "[1 2 3 5] true", "x": "[] false", "1-y": "[] false"} {
		all, err := Numbers(in)
		if got := fmt.Sprint(all, err == nil); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
