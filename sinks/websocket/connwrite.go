package websocket

import "time"

// wake ensures that what is queued is written: by the caller while there is
// little to write, otherwise by the endpoint's writers, or by a goroutine of its
// own if the connection is not plain TCP.
func (c *conn) wake(free bool) {
	if c.raw != nil {
		c.endpoint().writers.wake(c, free)
		return
	}
	c.endpoint().work.add()
	go func() {
		// The outbox has one writer at a time, so that this goroutine is the only one.
		b := newBatch()
		if c.take(b, slowBatch) {
			c.writeRest(b, 0)
			return
		}
		batches.Put(b)
		c.endpoint().work.done()
	}()
}

// writeRest writes b but for the first sent bytes, and then all that is queued. It
// waits for the client to take it.
func (c *conn) writeRest(b *batch, sent int) {
	defer c.endpoint().work.done()
	defer batches.Put(b)
	for {
		// The hooks of the batch come before those of what still waits in the queue.
		for piece := range b.pieces(sent) {
			if err := c.write(piece); err != nil {
				c.slowToWrite(err)
				c.wrote(b, err)
				c.finish(ErrClosed)
				return
			}
		}
		if !c.done(b) || !c.take(b, slowBatch) {
			return
		}
		sent = 0
	}
}

// done notes that the batch was written and reports whether there is more. If it
// held the close frame, the connection waits for that of the client.
func (c *conn) done(b *batch) (more bool) {
	last, more := c.wrote(b, nil)
	if last {
		c.sentClose()
	}
	return more
}

// writeStep is how many bytes a client must take within Timeouts.Write, as long as
// so many wait. A client that takes a byte now and then does not pass.
const writeStep = 16 << 10

// write waits until the client has taken p, for as long as it takes writeStep
// within Timeouts.Write.
func (c *conn) write(p []byte) error {
	for len(p) > 0 {
		step := p[:min(len(p), writeStep)]
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.mount.cfg.Timeouts.Write)); err != nil {
			return err
		}
		if _, err := c.nc.Write(step); err != nil {
			return err
		}
		p = p[len(step):]
	}
	// Removed, so that it cannot fail a raw write later.
	return c.nc.SetWriteDeadline(time.Time{})
}

// sentClose hangs up if the client has closed too, and otherwise bounds the wait
// for its close frame.
func (c *conn) sentClose() {
	by := time.Now().Add(c.mount.cfg.Timeouts.Close)
	c.mu.Lock()
	c.closeSent, c.closeBy = true, by.Sub(c.endpoint().epoch)
	done := c.peerClosed
	c.mu.Unlock()
	if done {
		c.abort()
		return
	}
	// FIN tells the client that nothing follows, and its own close frame can
	// still be read.
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer may have left already
	}
	c.rouse() // a goroutine must wait for the client's close frame
	c.mu.Lock()
	defer c.mu.Unlock()
	// Otherwise the goroutine that interrupts the read ahead sets it afterwards.
	if !c.interrupting {
		_ = c.nc.SetReadDeadline(by)
	}
}
