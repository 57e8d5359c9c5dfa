package backplane

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// maxToken bounds a token. A server of NATS takes at most 4096 bytes for a whole
// command with two subjects.
const maxToken = 512

// Token returns text as one token of a subject or channel: letters, digits and a
// few signs stay, any other byte becomes '=' and two hexadecimal digits. Two texts
// have two tokens, but for those whose token would exceed 512 bytes: they become a
// digest, so that a receiver must look at the topic of the message.
func Token(text string) string {
	if text == "" {
		return "=" // no other token ends with a lone sign of equality
	}
	odd := 0
	for i := range len(text) {
		if !plain(text[i]) {
			odd++
		}
	}
	if len(text)+2*odd > maxToken {
		sum := sha256.Sum256([]byte(text))
		return "=#" + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	}
	if odd == 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 2*odd)
	for i := range len(text) {
		c := text[i]
		if plain(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('=')
		b.WriteByte("0123456789ABCDEF"[c>>4])
		b.WriteByte("0123456789ABCDEF"[c&15])
	}
	return b.String()
}

// plain reports whether a byte stands for itself in a token.
func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ':' || c == '-' || c == '_' || c == '/' || c == '@'
}
