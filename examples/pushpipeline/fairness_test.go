package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// One user makes twenty times the load of all others and more than twice
// what the workers get through: under Fair the others hardly notice, under FIFO
// they wait behind it.
func TestFloodHurtsNobodyElse(t *testing.T) {
	cfg, out, err := parse(t, nil, "-fairness", "-source", "memory", "-users", "21", "-duration", "500ms")
	if err != nil {
		t.Fatal(err, out)
	}
	rivalOf := func(name string) rival {
		i := slices.IndexFunc(rivals, func(r struct {
			name string
			make rival
		}) bool {
			return r.name == name
		})
		return rivals[i].make
	}
	log := slog.New(slog.DiscardHandler)
	// A run that is void, or that loses pushes without a flood, was spoilt by a machine that does
	// other things: another follows, with half the speed of all that happens.
	for try := 1; ; try++ {
		var mu sync.Mutex
		got := map[string]verdict{}
		var all sync.WaitGroup
		for _, name := range []string{"Fair", "FIFO"} {
			for _, flood := range []float64{0, 20} {
				all.Go(func() {
					cfg := cfg
					cfg.rival = rivalOf(name)
					f, err := measure(t.Context(), cfg, flood, log, func(status) {})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					got[fmt.Sprint(name, flood)] = f.verdict
				})
			}
		}
		all.Wait()
		spoilt := false
		for name, v := range got {
			t.Logf("%s: p50 %v, p90 %v, least share %.3f, lag %d, lost %d of %d, served %.0f/s, offered %.4f",
				name, v.quantile(0.5), v.quantile(0.9), v.MinShare, v.Lag, v.Lost, v.Pushes, v.Served, v.Offered)
			spoilt = spoilt || finding{verdict: v}.void()
		}
		spoilt = spoilt || got["Fair0"].Lost+got["FIFO0"].Lost > 0
		// All four ran at once, so that a machine that stops for a while stops them
		// all: Fair is judged beside FIFO, and by what is far from either.
		fair, fifo := got["Fair20"], got["FIFO20"]
		ours, theirs := fair.quantile(0.9), fifo.quantile(0.9)
		slow, starved := 5*ours > theirs, fair.MinShare < 0.5 || fifo.MinShare > 0.5
		if (slow || starved) && spoilt && try < 5 && !t.Failed() {
			cfg.Duration, cfg.Work, cfg.Rate = 2*cfg.Duration, 2*cfg.Work, cfg.Rate/2
			continue
		}
		if slow {
			t.Errorf("the victims' p90 is %v under a flood, with FIFO %v", ours, theirs)
		}
		if starved {
			t.Errorf("the victims' least share is %.3f, with FIFO %.3f", fair.MinShare, fifo.MinShare)
		}
		return
	}
}

// The table leads with what a flood does to its victims and ends with Jain's
// index, and says which runs are void.
func TestFindings(t *testing.T) {
	cfg, _, err := parse(t, nil, "-fairness", "-source", "memory")
	if err != nil {
		t.Fatal(err)
	}
	waits := func(d time.Duration) []time.Duration { return []time.Duration{d} }
	calm := verdict{Waits: waits(10 * time.Millisecond), MinShare: 1, Jain: 1, Offered: 1}
	var all []finding
	for _, r := range rivals {
		all = append(all,
			finding{rival: r.name, calm: calm, verdict: calm},
			finding{rival: r.name, flood: 10, calm: calm, verdict: verdict{Waits: waits(12 * time.Millisecond), MinShare: 0.75, Lag: 3, Jain: 0.99, Offered: 1}},
			finding{rival: r.name, flood: 100, calm: calm, verdict: verdict{Waits: waits(time.Second), Lag: 7, Jain: 0.5, Offered: 0.998}})
	}
	var b bytes.Buffer
	if err := printFindings(&b, cfg, all); err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for l := range strings.Lines(b.String()) {
		if f := strings.Fields(l); len(f) > 3 && (f[0] == "Fair" || f[0] == "flood") {
			rows[f[0]+" "+f[1]] = f
		}
	}
	head := rows["flood p99"]
	if len(head) == 0 || strings.Join(head[1:3], " ") != "p99 ratio" || head[len(head)-1] != "Jain" {
		t.Errorf("head %v", head)
	}
	if r := rows["Fair 10x"]; len(r) == 0 || r[2] != "1.20" || r[3] != "0.750" || r[4] != "3" || r[len(r)-1] != "0.9900" {
		t.Errorf("row %v", r)
	}
	if r := rows["Fair 100x"]; !slices.Contains(r, "VOID") {
		t.Errorf("row %v", r)
	}
	b.Reset()
	if err := printFindingsJSON(&b, cfg, all); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("%v %s", err, b.String())
	}
	b.Reset()
	if _, err := picture(cfg, all).WriteTo(&b); err != nil || !strings.Contains(b.String(), ">void<") || !strings.Contains(b.String(), ">1.2<") {
		t.Errorf("%v %s", err, b.String())
	}
}

func TestFairnessOptions(t *testing.T) {
	c, _, err := parse(t, map[string]string{"PUSHPIPELINE_USERS": "7"}, "-fairness", "-work", "1ms")
	if err != nil || c.Users != 7 || c.Work != time.Millisecond || c.Workers != 8 || c.Clients != 7 {
		t.Errorf("%+v %v", c, err)
	}
	for _, args := range [][]string{
		{"-users", "1"}, {"-rate", "0"}, {"-duration", "0"}, {"-clients", "3"}, {"-brokers", "a:1"},
	} {
		if _, out, err := parse(t, nil, append([]string{"-fairness"}, args...)...); err == nil || !strings.Contains(out, args[0]) {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}

// outbox takes a dispatcher's decisions.
type outbox struct{ given, lost []push }

func (o *outbox) Give(int, int, int)                         { panic("it holds its events") }
func (o *outbox) GiveHeld(_ int, p push, _, _ uint64)        { o.given = append(o.given, p) }
func (o *outbox) Discard(p push, _ uint64, _ receipt.Reason) { o.lost = append(o.lost, p) }
func (o *outbox) names(of []push) (names string) {
	for _, p := range of {
		names += p.User
	}
	return names
}

func TestRoundRobinServesUsersInTurn(t *testing.T) {
	r, out := newRoundRobin(), &outbox{}
	if err := r.Subscribe(0, dispatcher.SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	offer := func(users string) {
		var events []push
		for _, u := range users {
			events = append(events, push{User: string(u)})
		}
		if n := r.Dispatch(dispatcher.Offer[push]{Events: events}, out); n != len(events) {
			t.Fatalf("took %d of %d", n, len(events))
		}
	}
	offer("aaab")
	r.Ask(0, 2)
	offer("c")
	r.Ask(0, 2)
	offer("")
	if got := out.names(out.given); got != "abca" {
		t.Errorf("handed out %s", got)
	}
	if r.DiscardHeld(out, receipt.Stopped); r.Held() != 0 || out.names(out.lost) != "a" {
		t.Errorf("%d held, lost %s", r.Held(), out.names(out.lost))
	}
	offer(strings.Repeat("a", roundRobinQueue+1))
	if r.Held() != roundRobinQueue || len(out.lost) != 2 {
		t.Errorf("%d held, %d lost", r.Held(), len(out.lost))
	}
}

// TestEveryRivalCanBeBuilt, with any number of workers for a subscription.
func TestEveryRivalCanBeBuilt(t *testing.T) {
	for _, r := range rivals {
		for _, workers := range []string{"1", "2", "8"} {
			args := []string{"-addr", "127.0.0.1:0", "-debug-addr", "off", "-source", "memory", "-workers", workers}
			cfg, err := parseConfig(args, nil, io.Discard, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			cfg.rival = r.make
			a, err := newApp(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Errorf("%s, %s workers: %v", r.name, workers, err)
				continue
			}
			a.close()
		}
	}
}

// A picture that cannot be written is refused before anything is measured.
func TestPictureThatCannotBeWritten(t *testing.T) {
	cfg, out, err := parse(t, nil, "-fairness", "-source", "memory", "-svg", filepath.Join(t.TempDir(), "none", "a.svg"))
	if err != nil {
		t.Fatal(err, out)
	}
	var progress bytes.Buffer
	err = compare(t.Context(), cfg, slog.New(slog.DiscardHandler), io.Discard, &progress)
	if !errors.Is(err, fs.ErrNotExist) || progress.Len() > 0 {
		t.Fatal(err, progress.String())
	}
}
