package dashboard

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
)

// topKeys bounds the keys with the longest queues that are shown.
const topKeys = 20

// cut appends JSON text without white space, as json.Marshal returns it, in which no list
// is longer than limit: the first ones are kept, of partitions those that are farthest
// behind. The field of an object that was cut is followed by another one with the number that
// was left out: "nodes_left" behind "nodes".
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
	if name == "partitions" {
		if keep := c.farthest(most); keep != nil {
			return c.some(keep)
		}
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

// farthest returns which elements of a list that is longer than most are to be kept, nil if
// it is not or if they have no lag: those that are stopped, then those with the longest lag.
func (c *cutter) farthest(most int) (keep []bool) {
	scan := cutter{src: c.src, at: c.at + 1, limit: c.limit}
	var lags []int64
	for scan.src[scan.at] != ']' {
		if scan.src[scan.at] == ',' {
			scan.at++
		}
		from := scan.at
		scan.dst = scan.dst[:0]
		scan.value("")
		lag, ok := lagOf(scan.src[from:scan.at])
		if !ok {
			return nil
		}
		lags = append(lags, lag)
	}
	if len(lags) <= most {
		return nil
	}
	order := make([]int, len(lags))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lags[b], lags[a]) })
	keep = make([]bool, len(lags))
	for _, i := range order[:most] {
		keep[i] = true
	}
	return keep
}

// lagOf returns the lag of a partition, which is the largest number for one that is stopped.
func lagOf(object []byte) (lag int64, ok bool) {
	_, rest, ok := bytes.Cut(object, []byte(`"lag":`))
	if !ok {
		return 0, false
	}
	if bytes.Contains(object, []byte(`"stopped":true`)) {
		return math.MaxInt64, true
	}
	end := bytes.IndexAny(rest, ",}")
	lag, err := strconv.ParseInt(string(rest[:max(0, end)]), 10, 64)
	return lag, err == nil
}

// some copies the elements of a list that are to be kept.
func (c *cutter) some(keep []bool) (left int) {
	c.one(1)
	start := len(c.dst)
	for _, k := range keep {
		if c.src[c.at] == ',' {
			c.at++
		}
		before := len(c.dst)
		c.dst = comma(c.dst, start)
		c.value("")
		if !k {
			c.dst = c.dst[:before]
			left++
		}
	}
	c.one(1)
	return left
}
