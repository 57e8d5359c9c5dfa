package dashboard

import "strconv"

// topKeys bounds the keys with the longest queues that are shown.
const topKeys = 20

// cut appends JSON text without white space, as json.Marshal returns it, in which no list
// is longer than limit. The field of an object that was cut is followed by another one with
// the number that was left out: "nodes_left" behind "nodes".
func cut(dst, src []byte, limit int) []byte {
	c := cutter{src: src, dst: dst, limit: limit}
	c.value("")
	return c.dst
}

// cutter copies src to dst up to at.
type cutter struct {
	src, dst []byte
	at       int
	limit    int
}

// value copies one value, of the field of that name, and returns how many elements of it
// were left out.
func (c *cutter) value(name string) (left int) {
	switch c.src[c.at] {
	case '{':
		c.object()
	case '[':
		return c.list(name)
	case '"':
		c.text()
	default:
		from := c.at
		for c.at < len(c.src) && c.src[c.at] != ',' && c.src[c.at] != ']' && c.src[c.at] != '}' {
			c.at++
		}
		c.dst = append(c.dst, c.src[from:c.at]...)
	}
	return 0
}

// one copies n bytes.
func (c *cutter) one(n int) {
	c.dst = append(c.dst, c.src[c.at:c.at+n]...)
	c.at += n
}

func (c *cutter) object() {
	c.one(1)
	for c.src[c.at] != '}' {
		from := c.at
		c.text()
		name := string(c.src[from+1 : c.at-1])
		c.one(1) // the colon
		if left := c.value(name); left > 0 {
			c.dst = append(append(c.dst, `,"`...), name...)
			c.dst = append(c.dst, `_left":`...)
			c.dst = strconv.AppendInt(c.dst, int64(left), 10)
		}
		if c.src[c.at] == ',' {
			c.one(1)
		}
	}
	c.one(1)
}

func (c *cutter) list(name string) (left int) {
	most := c.limit
	if name == "top" {
		most = min(most, topKeys)
	}
	c.one(1)
	for n := 1; c.src[c.at] != ']'; n++ {
		keep := len(c.dst)
		if n > 1 {
			c.one(1) // the comma
		}
		c.value("")
		if n > most {
			c.dst = c.dst[:keep]
			left++
		}
	}
	c.one(1)
	return left
}

func (c *cutter) text() {
	from := c.at
	for c.at++; c.src[c.at] != '"'; c.at++ {
		if c.src[c.at] == '\\' {
			c.at++
		}
	}
	c.at++
	c.dst = append(c.dst, c.src[from:c.at]...)
}
