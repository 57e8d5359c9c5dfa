package pattern

import "testing"

func TestMatches(t *testing.T) {
	for _, row := range []struct {
		pattern, topic string
		valid, matches bool
	}{
		{"room:a", "room:a", true, true},
		{"room:a", "room:ab", true, false},
		{"room:*", "room:a", true, true},
		{"room:*", "room:", true, true},
		{"room:*", "user:a", true, false},
		{"*", "anything", true, true},
		{"", "", false, true},
		{"a*b", "a*b", false, true},
		{"a**", "a*", false, true},
	} {
		if Valid(row.pattern) != row.valid || Matches(row.pattern, row.topic) != row.matches {
			t.Errorf("%q: valid %v, matches %q: %v", row.pattern, Valid(row.pattern), row.topic, Matches(row.pattern, row.topic))
		}
	}
}
