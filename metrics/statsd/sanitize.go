package statsd

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/penstock-go/penstock/metrics"
)

// maxPart bounds a name, a tag's key and a tag's value, in bytes, so that an
// ordinary line always fits into a datagram.
const maxPart = 200

// cleanPart makes s safe for any part of a line of the protocol, in any of its
// dialects. It replaces an empty string by fallback, since an empty name or value
// makes servers refuse the whole line. The separators of all dialects become
// underscores, and so do spaces and what cannot be printed.
func cleanPart(s, fallback string) string {
	if s == "" {
		return fallback
	}
	if len(s) > maxPart {
		end := maxPart
		for end > maxPart-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end-- // not within a character
		}
		s = s[:end]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || strings.ContainsRune(":|@#,;=~", r) || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
}

// cleanTags returns tags cleaned and in a fixed order, so that the same set in
// another order is the same series.
func cleanTags(tags []metrics.Tag) []metrics.Tag {
	clean := make([]metrics.Tag, len(tags))
	for i, t := range tags {
		clean[i] = metrics.Tag{Key: cleanPart(t.Key, "unnamed"), Value: cleanPart(t.Value, "none")}
	}
	slices.SortFunc(clean, func(a, b metrics.Tag) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return clean
}

// seriesKey names one series of one kind. The separators cannot occur in
// cleaned parts.
func seriesKey(kind byte, name string, tags []metrics.Tag) string {
	var b strings.Builder
	b.WriteByte(kind)
	b.WriteString(name)
	for _, t := range tags {
		b.WriteByte('|')
		b.WriteString(t.Key)
		b.WriteByte(':')
		b.WriteString(t.Value)
	}
	return b.String()
}
