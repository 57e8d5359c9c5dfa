package prometheus

import (
	"slices"
	"strings"
	"unicode"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/penstock-go/penstock/metrics"
)

// family is what the series of a name have in common.
type family struct {
	name, help string
	unit       string
	tags       []string // of the catalogue
	ours       bool     // a name of the library: no other tags
}

// families knows the names. The recorder's lock guards it.
type families struct {
	namespace string
	names     *names
	labels    *names
	byKey     map[string]*family
}

// newFamilies returns families in which the names of the library are reserved.
func newFamilies(cfg Config) *families {
	f := &families{namespace: cfg.Namespace, names: newNames(cfg.MaxSeries), labels: newLabels(cfg.MaxSeries), byKey: make(map[string]*family)}
	catalogue := metrics.Catalogue()
	f.names.max += len(catalogue)
	for _, d := range catalogue {
		d, _ = metrics.Describe(d.Name)
		_, _ = f.add(d, f.namespace+"_"+d.Name, true)
	}
	return f
}

// get returns the family of a name, nil if there are too many, and whether its name was
// changed.
func (f *families) get(kind metrics.Kind, name string) (_ *family, changed bool) {
	if have := f.byKey[familyKey(kind, name)]; have != nil {
		return have, false
	}
	return f.add(metrics.Description{Name: name, Kind: kind}, name, false)
}

func (f *families) add(d metrics.Description, text string, ours bool) (_ *family, changed bool) {
	key := familyKey(d.Kind, d.Name)
	if have := f.byKey[key]; have != nil {
		return have, false
	}
	name, changed, ok := f.names.name(key, text, metricForms(d.Kind, d.Unit))
	if !ok {
		return nil, false
	}
	one := &family{name: withSuffix(d.Kind, d.Unit, name), help: help(d), tags: d.Tags, ours: ours}
	if d.Kind == metrics.KindTimer || d.Unit == "seconds" {
		one.unit = "seconds"
	}
	f.byKey[key] = one
	return one, changed
}

func familyKey(kind metrics.Kind, name string) string { return kind.String() + " " + name }

// help returns the text that a server shows: the unit, what the catalogue says about it,
// and the name in the documentation.
func help(d metrics.Description) string {
	if d.Help == "" {
		return "The " + d.Kind.String() + " " + d.Name + " of the program."
	}
	unit := []rune(d.Unit)
	unit[0] = unicode.ToUpper(unit[0])
	return string(unit) + ": " + d.Help + " (" + d.Name + ")."
}

// labelsOf returns the labels for tags, and their text in a fixed order. Tags without a
// value are left out, since an empty label is the same as none to Prometheus.
func (f *families) labelsOf(one *family, tags []metrics.Tag) (client.Labels, string) {
	labels := make(client.Labels, len(tags))
	for _, tag := range tags {
		name := tag.Key
		if one.ours {
			if !slices.Contains(one.tags, name) {
				continue
			}
		} else {
			var ok bool
			if name, _, ok = f.labels.name(name, labelText(name), labelForms); !ok {
				continue
			}
		}
		if value := cleanValue(tag.Value); value != "" {
			labels[name] = value
		}
	}
	pairs := make([]string, 0, len(labels))
	for name, value := range labels {
		pairs = append(pairs, name+"\xff"+value)
	}
	slices.Sort(pairs)
	return labels, strings.Join(pairs, "\xfe")
}
