package main

import (
	"encoding/json"
	mathrand "math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// got is what the page's script does with an event.
func (c *client) got(topic, event string, payload json.RawMessage) {
	now := time.Now()
	var p struct {
		ItemID   int64             `json:"item_id"`
		Level    string            `json:"level"`
		SizeHTML string            `json:"size_html"`
		Levels   map[string]string `json:"levels"`
	}
	if event != stockChange && event != released && event != "state" || json.Unmarshal(payload, &p) != nil {
		return
	}
	c.mu.Lock()
	switch event {
	case stockChange:
		c.show(p.ItemID, p.Level, now)
	case released:
		// A script puts the HTML into the page; a shopper reads the sizes from it.
		for _, m := range sizeButton.FindAllStringSubmatch(p.SizeHTML, -1) {
			id, _ := strconv.ParseInt(m[2], 10, 64)
			c.show(id, m[1], now)
		}
	case "state":
		for text, level := range p.Levels {
			id, _ := strconv.ParseInt(text, 10, 64)
			c.show(id, level, now)
		}
	}
	c.mu.Unlock()
	wake(c.news)
}

var sizeButton = regexp.MustCompile(`level-(\w+)" name="item_id" value="(\d+)"`)

// show notes what the page shows. c.mu is held.
func (c *client) show(id int64, level string, now time.Time) {
	c.levels[id] = level
	if _, known := c.outAt[id]; level == levelOut && !known {
		c.outAt[id] = now
	}
}

// wake sends unless there is a signal already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// choose returns a size that the page shows as buyable, or 0.
func (c *client) choose() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []int64
	for id, level := range c.levels {
		if level != levelOut && !c.gone[id] {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return 0
	}
	slices.Sort(ids)
	return ids[mathrand.IntN(len(ids))]
}

// knowsAllOut reports whether the page shows sizes, and all of them as out.
func (c *client) knowsAllOut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.levels) < len(c.products)*len(sizes) {
		return false
	}
	for _, level := range c.levels {
		if level != levelOut {
			return false
		}
	}
	return true
}
