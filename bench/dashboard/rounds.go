package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// usage is what one round has needed.
type usage struct{ core, events float64 } // of one core, in percent; a second

// rounds measures with and without viewers in turns and prints the medians.
func (p *program) rounds(ctx context.Context, o options, url string) error {
	if !sleep(ctx, 2*time.Second) { // it gets going
		return ctx.Err()
	}
	var alone, viewed []usage
	for range o.rounds {
		u, err := p.round(ctx, o.round)
		if err != nil {
			return err
		}
		alone = append(alone, u)
		if u, err = p.viewed(ctx, o, url); err != nil {
			return err
		}
		viewed = append(viewed, u)
	}
	a, v := median(alone), median(viewed)
	fmt.Printf("%d stages, %d keys, %d viewers; medians of %d rounds of %v, in percent of one core\n\n", o.stages, o.keys, o.viewers, o.rounds, o.round)
	fmt.Printf("%-16s%12s%14s\n", "", "processor", "events/s")
	fmt.Printf("%-16s%11.1f%%%14.0f\n", "nobody looks", a.core, a.events)
	fmt.Printf("%-16s%11.1f%%%14.0f\n", "viewers", v.core, v.events)
	var extra []float64
	for i := range alone {
		extra = append(extra, viewed[i].core-alone[i].core)
	}
	slices.Sort(extra)
	fmt.Printf("%-16s%11.1f%%\n", "difference", extra[len(extra)/2])
	return nil
}

// round measures for a time.
func (p *program) round(ctx context.Context, d time.Duration) (usage, error) {
	begun, before, handled := time.Now(), processorTime(), p.handled.Load()
	if !sleep(ctx, d) {
		return usage{}, ctx.Err()
	}
	took := time.Since(begun)
	return usage{
		100 * float64(processorTime()-before) / float64(took),
		float64(p.handled.Load()-handled) / took.Seconds(),
	}, nil
}

// viewed measures with viewers in another process.
func (p *program) viewed(ctx context.Context, o options, url string) (usage, error) {
	me, err := os.Executable()
	if err != nil {
		return usage{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, me, "-view", url, "-viewers", strconv.Itoa(o.viewers))
	cmd.Stderr = os.Stderr
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return usage{}, err
	}
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
		time.Sleep(time.Second)
	}()
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return usage{}, fmt.Errorf("the viewers have not begun: %w", err)
	}
	return p.round(ctx, o.round)
}

// look reads events as viewers do until ctx is done, and writes a byte when all have begun.
func look(ctx context.Context, url string, viewers int) error {
	var all, begun sync.WaitGroup
	begun.Add(viewers)
	errs := make(chan error, viewers)
	for range viewers {
		all.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				errs <- err
				return
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				errs <- err
				return
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				errs <- fmt.Errorf("the status is %s", response.Status)
				return
			}
			begun.Done()
			_, _ = io.Copy(io.Discard, response.Body)
		})
	}
	go func() {
		begun.Wait()
		fmt.Print(".")
	}()
	select {
	case err := <-errs:
		return err
	case <-ctx.Done():
		all.Wait()
		return nil
	}
}

func median(all []usage) usage {
	cores, events := make([]float64, len(all)), make([]float64, len(all))
	for i, u := range all {
		cores[i], events[i] = u.core, u.events
	}
	slices.Sort(cores)
	slices.Sort(events)
	return usage{cores[len(cores)/2], events[len(events)/2]}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
