package fair

// settle adds the credits that an idle slot has earned: one for each round of its
// class since s.round. Keys with waiting events earn none, since they are served
// once a round; otherwise those that were busy when a round ended would go before
// newcomers in the next. Call it before the credits of an idle slot are read.
func (c *core) settle(s *slot) {
	round := c.class(s.group, s.class).round
	if s.credits < c.credits {
		s.credits = int32(min(uint32(c.credits), uint32(s.credits)+min(round-s.round, maxCredits)))
	}
	s.round = round
}

// unspent reports whether a new slot would be equal to this one: all its credits
// are there, or its tag is as far back as a newcomer's.
func (c *core) unspent(s *slot) bool {
	if c.measured {
		return c.timesOf(s).tag <= c.group(s.group).vtime-c.burst()
	}
	return s.credits >= c.credits
}

// earned reports whether a ghost may be forgotten, with the credits counted up to
// now.
func (c *core) earned(s *slot) bool {
	if !c.measured {
		c.settle(s)
	}
	return c.unspent(s)
}

// ghost remembers an idle, unlisted slot until it may be forgotten. It starts to
// earn credits with this round.
func (c *core) ghost(i uint32, s *slot) {
	if !c.measured {
		s.round = c.class(s.group, s.class).round
	}
	c.push(&c.ghosts, i, s, whereGhost)
	c.nghosts++
}

// unghost leaves the slot unlisted. The credits are not counted up: delist does
// that.
func (c *core) unghost(s *slot) {
	c.unlink(&c.ghosts, s)
	c.nghosts--
}
