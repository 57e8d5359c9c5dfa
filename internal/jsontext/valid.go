// Package jsontext checks JSON that is passed on as it came.
package jsontext

import "unicode/utf8"

// Valid reports whether data is one JSON value in valid UTF-8. It returns what
// json.Valid(data) && utf8.Valid(data) does, in one pass and several times as fast: what
// goes from node to node is checked by each of them.
func Valid(data []byte) bool {
	c := checker{data: data}
	c.space()
	for {
		// A value begins here.
		if c.at >= len(data) {
			return false
		}
		switch b := data[c.at]; {
		case b == '{':
			c.at++
			if !c.open(object) {
				return false
			}
			c.space()
			if c.take('}') {
				c.depth--
				break
			}
			if !c.key() {
				return false
			}
			continue
		case b == '[':
			c.at++
			if !c.open(array) {
				return false
			}
			c.space()
			if c.take(']') {
				c.depth--
				break
			}
			continue
		case b == '"':
			if !c.text() {
				return false
			}
		case b == '-' || b-'0' <= 9:
			if !c.number() {
				return false
			}
		case !c.word("true") && !c.word("false") && !c.word("null"):
			return false
		}
		// A value has ended here, and what is around it may end as well.
		for again := true; again; {
			c.space()
			again = false
			switch {
			case c.depth == 0:
				return c.at == len(data)
			case c.take(','):
				c.space()
				if c.inside() == object && !c.key() {
					return false
				}
			case c.inside() == object && c.take('}'), c.inside() == array && c.take(']'):
				c.depth--
				again = true
			default:
				return false
			}
		}
	}
}

// maxDepth is how deep values may be inside of others, as in encoding/json.
const maxDepth = 10_000

const (
	array = iota
	object
)

// checker is the state of a check: the place of the next byte, and in what the value there
// is, a bit for each depth.
type checker struct {
	data  []byte
	at    int
	depth int
	first uint64   // of the first 64
	rest  []uint64 // of those further inside
}

// open notes the beginning of an object or an array.
func (c *checker) open(what uint64) bool {
	bit, word := c.depth%64, &c.first
	if n := c.depth/64 - 1; n >= 0 {
		if n == len(c.rest) {
			c.rest = append(c.rest, 0)
		}
		word = &c.rest[n]
	}
	*word = *word&^(1<<bit) | what<<bit
	c.depth++
	return c.depth <= maxDepth
}

// inside returns what the value is in. The depth is not 0.
func (c *checker) inside() uint64 {
	at := c.depth - 1
	if n := at/64 - 1; n >= 0 {
		return c.rest[n] >> (at % 64) & 1
	}
	return c.first >> at & 1
}

// take takes a byte if it is the next one.
func (c *checker) take(b byte) bool {
	if c.at < len(c.data) && c.data[c.at] == b {
		c.at++
		return true
	}
	return false
}

func (c *checker) space() {
	for c.at < len(c.data) {
		switch c.data[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return
		}
	}
}

// key takes the name of a field, the colon, and the space before its value.
func (c *checker) key() bool {
	if !c.text() {
		return false
	}
	c.space()
	if !c.take(':') {
		return false
	}
	c.space()
	return true
}

// word takes a word.
func (c *checker) word(text string) bool {
	if len(c.data)-c.at >= len(text) && string(c.data[c.at:c.at+len(text)]) == text {
		c.at += len(text)
		return true
	}
	return false
}

// digits takes one digit or more.
func (c *checker) digits() bool {
	from := c.at
	for c.at < len(c.data) && c.data[c.at]-'0' <= 9 {
		c.at++
	}
	return c.at > from
}

func (c *checker) number() bool {
	c.take('-')
	if !c.take('0') && !c.digits() {
		return false
	}
	if c.take('.') && !c.digits() {
		return false
	}
	if c.take('e') || c.take('E') {
		_ = c.take('+') || c.take('-') // one of them at most
		return c.digits()
	}
	return true
}

// plain are the bytes that stand for themselves in a string and are one character each.
var plain = func() (list [256]bool) {
	for b := range utf8.RuneSelf {
		list[b] = b >= ' ' && b != '"' && b != '\\'
	}
	return list
}()

// text takes a string with its quotation marks.
func (c *checker) text() bool {
	if !c.take('"') {
		return false
	}
	data, at := c.data, c.at
	for at < len(data) {
		b := data[at]
		switch {
		case plain[b]:
			at++
		case b == '"':
			c.at = at + 1
			return true
		case b == '\\':
			if at+1 >= len(data) {
				return false
			}
			switch data[at+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				at += 2
			case 'u':
				if len(data)-at < 6 || !hex(data[at+2]) || !hex(data[at+3]) || !hex(data[at+4]) || !hex(data[at+5]) {
					return false
				}
				at += 6
			default:
				return false
			}
		case b < utf8.RuneSelf: // a control character
			return false
		default:
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 {
				return false
			}
			at += size
		}
	}
	return false
}

func hex(b byte) bool { return b-'0' <= 9 || (b|0x20)-'a' <= 5 }
