package prometheus

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstock-go/penstock/metrics"
)

// maxPart bounds a name, a label and a label's value, in bytes.
const maxPart = 200

// names gives each text a name of its own in an alphabet of letters, digits and
// underscores. It is not safe for concurrent use.
type names struct {
	max   int // names that are kept
	given map[string]string
	taken map[string]bool
}

func newNames(max int) *names {
	return &names{max: max, given: make(map[string]string), taken: make(map[string]bool)}
}

// name returns the name for a text, and whether it is another one than its characters
// alone would give. forms returns all that a name stands for; key differs for texts that
// are the same in different kinds. ok is false if there are too many names.
func (n *names) name(key, text string, forms func(string) []string) (name string, changed, ok bool) {
	if have, ok := n.given[key]; ok {
		return have, false, true
	}
	if len(n.given) >= n.max {
		return "", false, false
	}
	plain := cleanName(text)
	name = plain
	for i := 0; !n.free(forms(name)); i++ {
		// The text itself can be what another one becomes: the number goes up until the
		// name is free.
		name = fmt.Sprintf("%s_%08x", plain, sum(fmt.Sprint(key, i)))
	}
	for _, form := range forms(name) {
		n.taken[form] = true
	}
	n.given[key] = name
	return name, name != plain, true
}

func (n *names) free(forms []string) bool {
	return !slices.ContainsFunc(forms, func(form string) bool { return n.taken[form] })
}

func sum(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

// cleanName returns text with each character that Prometheus does not have in names as an
// underscore, and not a digit first.
func cleanName(text string) string {
	if text == "" {
		return "unnamed"
	}
	if len(text) > maxPart {
		text = fmt.Sprintf("%s_%08x", cut(text), sum(text))
	}
	text = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return r
		}
		return '_'
	}, text)
	if text[0] >= '0' && text[0] <= '9' {
		return "_" + text
	}
	return text
}

// cut returns the first maxPart bytes, not within a character.
func cut(text string) string {
	end := maxPart
	for end > maxPart-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// metricForms returns what a metric is called in one of the two formats: a counter's name
// is without its suffix in one of them, a histogram has several.
func metricForms(kind metrics.Kind, unit string) func(string) []string {
	return func(name string) []string {
		full := withSuffix(kind, unit, name)
		switch kind {
		case metrics.KindCounter:
			base := strings.TrimSuffix(full, "_total")
			return []string{full, base, base + "_created"}
		case metrics.KindTimer:
			return []string{full, full + "_bucket", full + "_count", full + "_sum", full + "_created"}
		}
		return []string{full}
	}
}

// withSuffix returns the name with the suffix of its kind, if it does not have it.
func withSuffix(kind metrics.Kind, unit, name string) string {
	suffix := ""
	switch {
	case kind == metrics.KindCounter:
		suffix = "_total"
	case kind == metrics.KindTimer, unit == "seconds":
		suffix = "_seconds"
	case unit == "bytes":
		suffix = "_bytes"
	}
	return strings.TrimSuffix(name, suffix) + suffix
}

// labelText returns the text of a label for a tag. Prometheus has names that begin with two
// underscores for itself.
func labelText(key string) string {
	if clean := cleanName(key); clean[0] == '_' {
		return "tag" + clean
	}
	return key
}

// labelForms is for labels, which have one form.
func labelForms(name string) []string { return []string{name} }

// newLabels returns names in which those that Prometheus uses itself are taken.
func newLabels(max int) *names {
	n := newNames(max)
	for _, reserved := range []string{"le", "quantile", "job", "instance", "__name__"} {
		n.taken[reserved] = true
	}
	return n
}

// cleanValue returns a label's value.
func cleanValue(value string) string {
	if len(value) > maxPart {
		value = cut(value)
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}
