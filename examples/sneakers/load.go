package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penstock-go/penstock/examples/internal/nodes"
	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// load lets shoppers loose on a shop.
type load struct {
	cfg   config
	log   *slog.Logger
	store *store.Store
	shops []string
	// release makes all shoes buyable.
	release func(ctx context.Context) error

	clients []*client

	present, bought, refused, returned, errors atomic.Int64
	firstError                                 sync.Once
}

// shopping runs a load against this process's own shop, or that of -shops.
func shopping(ctx context.Context, cfg config, log *slog.Logger, stdout, stderr io.Writer) (err error) {
	l := &load{cfg: cfg, log: log, shops: nodes.List(cfg.Shops)}
	if len(l.shops) > 0 {
		if l.store, err = store.Open(ctx, cfg.Database); err != nil {
			return fmt.Errorf("-database: %w", err)
		}
		defer l.store.Close()
		// In the database only: the nodes read it.
		l.release = func(ctx context.Context) error { return l.releaseAll(ctx, l.store.Release) }
		return l.run(ctx, stdout, stderr)
	}
	cfg.Released = 0
	a, err := newApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() { ended <- a.run(serving, func() { close(ready) }) }()
	select {
	case <-ready:
		l.store, l.shops = a.store, []string{a.address()}
		l.release = func(ctx context.Context) error { return l.releaseAll(ctx, a.release) }
		err = l.run(ctx, stdout, stderr)
		end()
		return errors.Join(err, <-ended)
	case err = <-ended:
		end()
		return err
	}
}

func (l *load) releaseAll(ctx context.Context, release func(context.Context, int64) (bool, error)) error {
	products, err := l.store.Products(ctx)
	for _, p := range products {
		_, releaseErr := release(ctx, p.ID)
		err = errors.Join(err, releaseErr)
	}
	return err
}

// run brings the shoppers in, releases the shoes, and waits until all is sold and every page
// shows it, at most for -for.
func (l *load) run(ctx context.Context, stdout, stderr io.Writer) error {
	// All shoppers share the connections for requests: a browser's own one would only idle.
	transport := &http.Transport{MaxConnsPerHost: 128, MaxIdleConnsPerHost: 128}
	defer transport.CloseIdleConnections()
	hc := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	progress := background(func(ctx context.Context) { l.progress(ctx, stderr) })
	defer progress()

	var arriving errgroup.Group
	arriving.SetLimit(64)
	l.clients = make([]*client, l.cfg.Shoppers)
	for i := range l.clients {
		l.clients[i] = newClient(hc, l.shops, i)
		arriving.Go(func() error {
			err := l.clients[i].browse(ctx)
			if err == nil {
				err = l.clients[i].connect(ctx)
			}
			if err == nil {
				l.present.Add(1)
			}
			return err
		})
	}
	defer func() {
		for _, c := range l.clients {
			c.leave()
		}
	}()
	if err := arriving.Wait(); err != nil {
		return fmt.Errorf("a shopper cannot come in: %w", err)
	}
	begun := time.Now()
	if err := l.release(ctx); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, l.cfg.For)
	defer cancel()
	var shopping sync.WaitGroup
	for i, c := range l.clients {
		shopping.Go(func() { l.shop(limit, c, i%10 == 9) })
	}
	shopping.Wait()
	ended := time.Now()
	progress()
	return l.report(context.WithoutCancel(ctx), begun, ended, stdout)
}

// shop is one shopper: wants up to three pairs, and watches until all is out. A wanderer
// leaves and comes back in between.
func (l *load) shop(ctx context.Context, c *client, wanderer bool) {
	wants := 1 + mathrand.IntN(3)
	for ctx.Err() == nil {
		item := int64(0)
		if wants > 0 {
			item = c.choose()
		}
		if item == 0 && c.knowsAllOut() {
			return
		}
		var err error
		switch {
		case item != 0:
			pause(ctx, time.Duration(mathrand.IntN(200))*time.Millisecond) // thinks
			if err = c.buy(ctx, item); err == nil {
				wants--
				l.bought.Add(1)
			} else if errors.Is(err, errRefused) && !errors.Is(err, errNoReply) {
				l.refused.Add(1)
				err = nil
			}
			if err == nil && wanderer {
				wanderer = false
				c.leave()
				pause(ctx, time.Second)
				l.returned.Add(1)
				err = c.connect(ctx)
			}
		default:
			select {
			case <-c.news:
			case <-c.wire.done:
				err = errNoReply
			case <-ctx.Done():
			}
		}
		if err != nil && ctx.Err() == nil {
			l.recover(ctx, c, err)
		}
	}
}

// recover brings a shopper back whose shop has gone, to another one if there is.
func (l *load) recover(ctx context.Context, c *client, err error) {
	if len(l.shops) == 1 {
		l.errors.Add(1)
		l.firstError.Do(func() { l.log.Warn("a shopper has an error: the first one", "error", err) })
	}
	c.leave()
	c.cart = "" // whether the last purchase was made is not known
	for ctx.Err() == nil {
		l.returned.Add(1)
		c.next()
		if err := c.connect(ctx); err == nil {
			return
		}
		pause(ctx, time.Duration(100+mathrand.IntN(400))*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
