package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/penstock-go/penstock/retry"
)

// policy is how often a write that has failed is repeated.
var policy = retry.Policy{MaxAttempts: 5, Backoff: 500 * time.Millisecond}

// progressEvery is the time between two lines about a long play.
const progressEvery = 2 * time.Second

// player plays letters to a target.
type player struct {
	*tool
	target  target
	journal *journal
	batch   []item    // read, and not written; at most target.most
	begun   time.Time // for the rate of the progress lines
	next    time.Time // when the rate allows another event
	told    time.Time // of the last line about the progress

	played  int
	refused int // by the target, or without an event that could be played
	before  int // played by an earlier run
}

// play plays the letters that were asked for and not played before.
func (t *tool) play(ctx context.Context) error {
	if t.dryRun {
		return t.rehearse(ctx)
	}
	target, err := t.open()
	if err != nil {
		return err
	}
	defer target.close()
	j, err := openJournal(t.played)
	if err != nil {
		return err
	}
	now := time.Now()
	p := &player{tool: t, target: target, journal: j, begun: now, next: now, told: now}
	err = p.all(ctx)
	if closed := j.close(); err == nil {
		err = closed
	}
	p.progress(true)
	if p.refused > 0 {
		t.failed = true
	}
	return err
}

// all plays all letters. After an error the next run goes on where this one has ended.
func (p *player) all(ctx context.Context) error {
	for i, err := range p.items(ctx) {
		if err != nil && ctx.Err() == nil {
			err = errors.Join(p.flush(ctx), err)
		}
		if err != nil {
			return err
		}
		if p.journal.ids[i.id] && !p.again {
			p.before++
			continue
		}
		if p.limit > 0 && p.played+p.refused+len(p.batch) >= p.limit {
			break
		}
		if i.EncodeError != "" {
			p.refuse(i, fmt.Errorf("the event could not be encoded when it failed: %s", i.EncodeError))
			continue
		}
		if _, err := i.Bytes(); err != nil {
			p.refuse(i, err)
			continue
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
		if p.batch = append(p.batch, i); len(p.batch) >= p.target.most() {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
		p.progress(false)
	}
	return p.flush(ctx)
}

// wait waits until the rate allows another event. What is waited for in batches is written
// before, so that a slow rate is even.
func (p *player) wait(ctx context.Context) error {
	if p.rate == 0 {
		return nil
	}
	pause := time.Until(p.next)
	p.next = p.next.Add(time.Duration(float64(time.Second) / p.rate))
	if pause <= 0 {
		return nil
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	return sleep(ctx, pause)
}

// flush writes the batch and notes it as played. A write that fails is repeated a few
// times; one that the target refuses is not.
func (p *player) flush(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	defer func() { p.batch = p.batch[:0] }()
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		err := p.write(ctx)
		if err == nil {
			p.played += len(p.batch)
			return p.journal.add(p.batch)
		}
		if retry.IsNever(err) {
			for _, i := range p.batch {
				p.refuse(i, err)
			}
			return nil
		}
		pause, again, _ := policy.Next(attempt, err)
		if !again {
			return err
		}
		fmt.Fprintf(p.log, "deadletters: letter %d, attempt %d: %v\n", p.batch[0].number, attempt, err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// write writes the batch one time.
func (p *player) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.target.write(ctx, p.batch)
}

// refuse counts a letter that was not played, and notes the first ones.
func (p *player) refuse(i item, err error) {
	if p.refused++; p.refused <= maxNotes {
		fmt.Fprintf(p.log, "deadletters: letter %d was not played: %v\n", i.number, err)
	}
}

// progress prints a line now and then, and at the end.
func (p *player) progress(end bool) {
	now := time.Now()
	if !end && now.Sub(p.told) < progressEvery {
		return
	}
	p.told = now
	text := fmt.Sprintf("played %d", p.played)
	if p.refused > 0 {
		text += fmt.Sprintf(", refused %d", p.refused)
	}
	if p.before > 0 {
		text += fmt.Sprintf(", %d were played before (%s; -again plays them again)", p.before, p.tool.played)
	}
	if seconds := now.Sub(p.begun).Seconds(); !end && seconds > 0 {
		text += fmt.Sprintf(", %.0f/s", float64(p.played)/seconds)
	}
	fmt.Fprintf(p.log, "deadletters: %s\n", text)
}

// rehearse lists what would be played.
func (t *tool) rehearse(ctx context.Context) error {
	ids, err := readJournal(t.played)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	table, n := newTable(t.out, "N", "TIME", "STAGE", "ERROR", "ATTEMPTS", "SOURCE", "KEY"), 0
	for i, err := range t.items(ctx) {
		if err != nil {
			return errors.Join(table.end(), err)
		}
		if ids[i.id] && !t.again || i.EncodeError != "" {
			continue
		}
		if n++; t.limit > 0 && n > t.limit {
			n--
			break
		}
		table.row(rowOf(i)...)
	}
	if err := table.end(); err != nil {
		return err
	}
	fmt.Fprintf(t.log, "deadletters: would play %d\n", n)
	return nil
}

// sleep waits for d, or until ctx is done, which is an error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}
