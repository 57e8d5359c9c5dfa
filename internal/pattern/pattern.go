// Package pattern matches topics with the patterns that configs hold.
package pattern

import "strings"

// Allowed describes a valid pattern, for errors about options.
const Allowed = `a topic, or a beginning followed by one "*"`

// Valid reports whether a pattern is what [Allowed] describes.
func Valid(pattern string) bool {
	i := strings.IndexByte(pattern, '*')
	return pattern != "" && (i < 0 || i == len(pattern)-1)
}

// Matches reports whether a pattern is the topic, or ends with "*" and the topic
// begins with the rest of it.
func Matches(pattern, topic string) bool {
	if prefix, wild := strings.CutSuffix(pattern, "*"); wild {
		return strings.HasPrefix(topic, prefix)
	}
	return pattern == topic
}
