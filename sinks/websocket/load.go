package websocket

// load is a number of frames and the sum of their bytes.
type load struct{ frames, bytes int }

// add adds frames, or subtracts them if sign is -1.
func (l *load) add(more load, sign int) {
	l.frames += sign * more.frames
	l.bytes += sign * more.bytes
}

// high reports whether a load has passed three quarters of a bound. The distance
// from low keeps a queue that hovers at a mark from being reported again and again.
func (l load) high(b *bounds) bool { return l.frames > b.frames*3/4 || l.bytes > b.bytes/4*3 }

// low reports whether a load has fallen below half of both bounds.
func (l load) low(b *bounds) bool {
	return l.frames == 0 || l.frames < b.frames/2+b.frames%2 && l.bytes < b.bytes/2
}
