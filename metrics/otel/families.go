package otel

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-go/penstock/internal/series"
	"github.com/penstock-go/penstock/metrics"
)

// family is the OpenTelemetry instrument of a name.
type family struct {
	tags []string // of the catalogue
	ours bool     // a name of the library: no other tags

	histogram metric.Float64Histogram // of a timer
}

// errNames is the error for a name beyond MaxSeries.
var errNames = errors.New("MaxSeries is reached")

// family returns the family of a name, made if there is none: nil if the SDK refuses it, or
// if there are too many. The caller holds the lock.
func (r *Recorder) family(kind metrics.Kind, name string) (*family, error) {
	key := kind.String() + " " + name
	if have, ok := r.families[key]; ok {
		return have, nil
	}
	if len(r.families) >= r.cfg.MaxSeries {
		return nil, errNames
	}
	d, ours := metrics.Describe(name)
	ours = ours && d.Kind == kind
	full := r.name(key, name)
	if ours {
		full = r.cfg.Prefix + "." + name
	} else {
		d = metrics.Description{Help: "of the program"}
	}
	unit, help := metric.WithUnit(ucum(kind, d.Unit)), metric.WithDescription(strings.TrimPrefix(d.Unit+": "+d.Help, ": "))
	f := &family{tags: d.Tags, ours: ours}
	var err error
	switch kind {
	case metrics.KindCounter:
		_, err = r.meter.Int64ObservableCounter(full, unit, help, metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			r.observe(f, func(one series.Series) { one.(*counter).observe(o) })
			return nil
		}))
	case metrics.KindGauge:
		_, err = r.meter.Float64ObservableGauge(full, unit, help, metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			r.observe(f, func(one series.Series) { one.(*gauge).observe(o) })
			return nil
		}))
	case metrics.KindTimer:
		f.histogram, err = r.meter.Float64Histogram(full, unit, help, metric.WithExplicitBucketBoundaries(r.buckets...))
	}
	if err != nil {
		return nil, err
	}
	r.families[key] = f
	return f, nil
}

// name returns the name of an instrument of the program: names are the same to the SDK
// whatever the case of their letters, and have no other characters. The second of two that
// would be the same gets a suffix computed from the whole name. The caller holds the lock.
func (r *Recorder) name(key, text string) string {
	clean := strings.Map(func(c rune) rune {
		if c < utf8.RuneSelf && (strings.ContainsRune("_.-/", c) || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return c
		}
		return '_'
	}, text)
	if clean == "" || !('a' <= clean[0]|0x20 && clean[0]|0x20 <= 'z') {
		clean = "n" + clean
	}
	clean = clean[:min(len(clean), 200)]
	full, lower := clean, strings.ToLower(clean)
	for i := 0; r.taken[lower] || strings.HasPrefix(lower, strings.ToLower(r.cfg.Prefix)+"."); i++ {
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, key, i)
		full = fmt.Sprintf("n%s_%08x", clean, h.Sum32())
		lower = strings.ToLower(full)
	}
	r.taken[lower] = true
	return full
}

// ucum returns a unit of the Unified Code for Units of Measure: seconds, or what is counted
// in braces.
func ucum(kind metrics.Kind, unit string) string {
	switch {
	case kind == metrics.KindTimer, unit == "seconds":
		return "s"
	case unit == "bytes":
		return "By"
	case unit == "", unit == "0 or 1":
		return "1"
	}
	one := strings.TrimSuffix(unit, "s")
	switch unit {
	case "pushes", "batches", "losses":
		one = strings.TrimSuffix(unit, "es")
	case "entries":
		one = "entry"
	case "series":
		one = unit
	}
	return "{" + one + "}"
}

// attributes returns the attributes for tags.
func (f *family) attributes(tags []metrics.Tag) attribute.Set {
	all := make([]attribute.KeyValue, 0, len(tags))
	for _, tag := range tags {
		if tag.Key == "" || f.ours && !slices.Contains(f.tags, tag.Key) {
			continue
		}
		all = append(all, attribute.String(strings.ToValidUTF8(tag.Key, "_"), strings.ToValidUTF8(tag.Value[:min(len(tag.Value), maxValue)], "\uFFFD")))
	}
	return attribute.NewSet(all...)
}

// maxValue bounds an attribute's value, in bytes.
const maxValue = 200
