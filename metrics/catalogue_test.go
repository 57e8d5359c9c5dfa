package metrics_test

import (
	"slices"
	"testing"

	"github.com/penstock-go/penstock/metrics"
)

// A name has one kind and one unit in whichever package, and sorted tags.
func TestCatalogueIsConsistent(t *testing.T) {
	seen := make(map[string]metrics.Description)
	for _, d := range metrics.Catalogue() {
		if have, ok := seen[d.Name]; ok && (have.Kind != d.Kind || have.Unit != d.Unit) {
			t.Errorf("%s is a %v of %s and a %v of %s", d.Name, have.Kind, have.Unit, d.Kind, d.Unit)
		}
		seen[d.Name] = d
		if (d.Kind == metrics.KindTimer) != (d.Unit == "duration") {
			t.Errorf("%s is a %v of %s", d.Name, d.Kind, d.Unit)
		}
		if d.Unit == "" || d.Help == "" || d.Package == "" || !slices.IsSorted(d.Tags) {
			t.Errorf("%+v", d)
		}
		if found, ok := metrics.Describe(d.Name); !ok || found.Kind != d.Kind {
			t.Errorf("Describe(%s) returned %+v, %v", d.Name, found, ok)
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d names", len(seen))
	}
}

func TestDescribe(t *testing.T) {
	d, ok := metrics.Describe("pipeline.push_delivered")
	if !ok || d.Kind.String() != "timer" || !slices.Equal(d.Tags, []string{"class"}) {
		t.Errorf("%+v, %v; the tags of both packages were expected", d, ok)
	}
	if d, ok := metrics.Describe("orders.sold"); ok {
		t.Errorf("a name of a program has the description %+v", d)
	}
}

// What a caller does to its copy changes nothing.
func TestCatalogueIsACopy(t *testing.T) {
	all := metrics.Catalogue()
	i := slices.IndexFunc(all, func(d metrics.Description) bool { return len(d.Tags) > 0 })
	all[i].Tags[0], all[i].Name = "changed", "changed"
	if again := metrics.Catalogue()[i]; again.Name == "changed" || again.Tags[0] == "changed" {
		t.Errorf("%+v", again)
	}
}
