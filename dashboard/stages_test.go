package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// TestStagesWithControls: the program's functions are called for a stage, and a viewer sees
// what they have done.
func TestStagesWithControls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		source := stage.Must(stage.NewProducer(f, stage.ProducerConfig[int]{Name: "source", Logger: quiet}))
		sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{Name: "sink", Logger: quiet}))
		sub := stage.Must(sink.Subscribe(source, stage.SubscribeConfig{}))
		p := stage.Must(stage.NewPipeline(stage.PipelineConfig{Logger: quiet}, source, sink))
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		synctest.Wait()
		var paused atomic.Bool
		var workers, rate atomic.Int64
		workers.Store(4)
		d := stage.Must(New(Config{Allow: func(r *http.Request) bool { return r.Header.Get("X") != "" }, Logger: quiet}, Stages("plain", p,
			Control{
				Stage: "sink", Paused: paused.Load, Pause: func() { paused.Store(true); sub.Pause() }, Resume: func() { paused.Store(false); sub.Resume() },
				Resize: func(n int) error {
					if n > 8 {
						return errors.New("too many")
					}
					workers.Store(int64(n))
					return nil
				},
				Workers: func() int { return int(workers.Load()) },
			},
			Control{Stage: "source", RateOf: "numbers a second", Rate: func(r float64) error { rate.Store(int64(r)); return nil }},
		)))
		g := &program{d: d, f: f}
		v := g.view(t)
		synctest.Wait()
		v.read(t)
		for _, want := range []string{`{"actions":["pause","resume","resize"],"name":"sink","paused":false,"workers":4}`, `{"actions":["rate"],"name":"source","paused":false,"rate_of":"numbers a second"}`} {
			if s := text(t, v.state); !strings.Contains(s, want) {
				t.Errorf("no %s in %s", want, s)
			}
		}
		for _, tc := range []struct {
			step, action, value string
			status              int
			text                string
		}{
			{"sink", "pause", "0", 204, ""},
			{"sink", "resize", "7", 204, ""},
			{"source", "rate", "30", 204, ""},
			{"sink", "resize", "9", 409, "too many"},
			{"sink", "resize", "1.5", 400, "whole number"},
			{"sink", "resize", "0", 400, "1 or more"},
			{"source", "rate", "-1", 400, "0 or more"},
			{"sink", "rate", "1", 400, "rate is not possible"},
			{"sink", "drain", "1", 400, "drain is not possible"},
			{"source", "explode", "1", 400, `the action "explode" is not possible`},
			{"", "pause", "1", 404, "no stage"},
			{"other", "pause", "1", 404, `no stage "other"`},
		} {
			body := `{"part":"0","step":"` + tc.step + `","action":"` + tc.action + `","value":` + tc.value + `}`
			if status, text := g.control(body, "X", "1"); status != tc.status || !strings.Contains(text, tc.text) {
				t.Errorf("%s: %d %q", body, status, text)
			}
			if status, _ := g.control(body); status != 403 {
				t.Errorf("%s without permission: %d", body, status)
			}
		}
		if workers.Load() != 7 || rate.Load() != 30 || !paused.Load() {
			t.Error(workers.Load(), rate.Load(), paused.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		v.read(t)
		if s := text(t, v.state); !strings.Contains(s, `"name":"sink","paused":true,"workers":7`) || !strings.Contains(s, `"in_flight":0,"max_demand":1000,"min_demand":500,"paused":true`) {
			t.Error(s)
		}
		if status, text := g.control(`{"part":"0","step":"sink","action":"resume"}`, "X", "1"); status != 204 || paused.Load() {
			t.Error(status, text)
		}
		v.leave()
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
		p.Stop(nil)
		<-ended
	})
}

// TestControlsAreChecked by New.
func TestControlsAreChecked(t *testing.T) {
	source := stage.Must(stage.NewProducer(&feed{}, stage.ProducerConfig[int]{Logger: quiet}))
	p := stage.Must(stage.NewPipeline(stage.PipelineConfig{Logger: quiet}, source))
	rate := func(float64) error { return nil }
	for name, all := range map[string][]Control{
		"no name": {{Rate: rate}}, "no function": {{Stage: "a"}}, "twice": {{Stage: "a", Rate: rate}, {Stage: "a", Rate: rate}},
		"no Resize": {{Stage: "a", Rate: rate, Workers: func() int { return 1 }}},
		"no Resume": {{Stage: "a", Pause: func() {}, Paused: func() bool { return false }}},
	} {
		if _, err := New(Config{}, Stages("s", p, all...)); err == nil || !strings.Contains(err.Error(), "Control") {
			t.Errorf("%s: %v", name, err)
		} else if _, ok := errors.AsType[*OptionError](err); !ok {
			t.Errorf("%s: %T", name, err)
		}
	}
}

// TestControlOfNoStage: a name that is written wrong is logged, and the program may change
// its slice afterwards.
func TestControlOfNoStage(t *testing.T) {
	source := stage.Must(stage.NewProducer(&feed{}, stage.ProducerConfig[int]{Name: "source", Logger: quiet}))
	p := stage.Must(stage.NewPipeline(stage.PipelineConfig{Logger: quiet}, source))
	rate := func(float64) error { return nil }
	var log strings.Builder
	mine := []Control{{Stage: "source", Rate: rate}, {Stage: "sauce", Rate: rate}}
	part := Stages("plain", p, mine...)
	mine[0].Stage = "changed"
	if _, err := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, part); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "part=plain stage=sauce") {
		t.Errorf("logged %q", lines)
	}
	if err := part.onStage(&command{Step: "source", Action: "rate", Value: 1}); err != nil {
		t.Error(err)
	}
}

// TestPartitionsBeyondMaxList: those that are stopped or farthest behind are shown.
func TestPartitionsBeyondMaxList(t *testing.T) {
	type partition struct {
		Partition int   `json:"partition"`
		Lag       int64 `json:"lag"`
		Stopped   bool  `json:"stopped,omitempty"`
	}
	all := map[string]any{"partitions": []partition{{0, 5, false}, {1, 100, false}, {2, 0, true}, {3, 7, false}, {4, 7, false}, {5, 60, false}}}
	if got := string(encode(nil, all, 4)); got != `{"partitions":[{"partition":1,"lag":100},{"partition":2,"lag":0,"stopped":true},{"partition":3,"lag":7},{"partition":5,"lag":60}],"partitions_left":2}` {
		t.Error(got)
	}
	for _, s := range []string{`{"partitions":[1,2,{"lag":3}]}`, `{"partitions":[{"lag":"x"},{"lag":2}]}`, `{"partitions":[]}`, `{"partitions":[{"lag":1},{"lag":2}]}`} {
		if got := string(cut(nil, []byte(s), 100)); got != s {
			t.Errorf("%s became %s", s, got)
		}
	}
	if got := string(cut(nil, []byte(`{"partitions":[1,2,{"lag":3}]}`), 1)); got != `{"partitions":[1],"partitions_left":2}` {
		t.Error(got)
	}
}
