package delivery

import "github.com/penstock-go/penstock/internal/option"

// Resize changes how many events each subscription may have on their way to sockets, in the
// place of MaxDemand; MinDemand stays, as far as it is below. More events are asked for at
// once, or with the first delivery of a subscription on which none has come yet. With a
// smaller number those that were asked for before still come, and then no more are asked for
// until fewer are on their way. Resize returns at once, and may be called from any goroutine,
// also before the stage runs. The error is an [*OptionError], for a number below 1.
func (c *Consumer[T]) Resize(maxDemand int) error {
	if err := option.AtLeast(owner, "MaxDemand", maxDemand, 1); err != nil {
		return err
	}
	c.wanted.Store(int64(maxDemand))
	c.inbox.tick()
	return nil
}

// fit gives the accounts the size that Resize has set last.
func (c *Consumer[T]) fit() {
	n := int(c.wanted.Load())
	if n == c.size {
		return
	}
	c.size = n
	for _, a := range c.accounts {
		a.resize(n)
	}
}
