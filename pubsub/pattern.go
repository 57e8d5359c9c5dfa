package pubsub

import "strings"

// AllowedPattern says what a pattern of topics is, for errors about options.
const AllowedPattern = `a topic, or a beginning followed by one "*"`

// ValidPattern tells whether pattern is [AllowedPattern].
func ValidPattern(pattern string) bool {
	i := strings.IndexByte(pattern, '*')
	return pattern != "" && (i < 0 || i == len(pattern)-1)
}

// Matches tells whether a pattern leads to topic: it is the topic, or it ends
// with "*" and the topic begins with what is before.
func Matches(pattern, topic string) bool {
	if prefix, wild := strings.CutSuffix(pattern, "*"); wild {
		return strings.HasPrefix(topic, prefix)
	}
	return pattern == topic
}
