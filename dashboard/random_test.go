package dashboard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func newRandom(t *testing.T, seed uint64) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(seed, 1))
}

// randomStages returns a snapshot of up to eight stages, two of which may have one name.
func randomStages(r *rand.Rand) stage.PipelineSnapshot {
	s := stage.PipelineSnapshot{Stages: []stage.Snapshot{}, Edges: []stage.Edge{}}
	for range r.IntN(9) {
		at := stage.Snapshot{Name: fmt.Sprintf("stage <%d>", r.IntN(6)), Kind: stage.KindConsumer, Emitted: r.Int64N(3), Phase: stage.PhaseRunning}
		if r.IntN(2) == 0 {
			at.Handler = map[string]any{"top": []int{1, 2}, "n": r.IntN(2)}
			at.Discarded = map[receipt.Reason]int64{"expired": r.Int64N(2)}
			at.Error = "e\n"
		}
		s.Stages = append(s.Stages, at)
	}
	for i := range r.IntN(9) {
		s.Edges = append(s.Edges, stage.Edge{ID: uint64(i*3 + r.IntN(3)), Producer: "a", Demand: r.IntN(2), Paused: r.IntN(2) == 0})
	}
	return s
}

// sorted is a state as text in which the order of rows does not count.
func sorted(t *testing.T, state map[string]any) string {
	t.Helper()
	data := state["parts"].([]any)[0].(map[string]any)["data"].(map[string]any)
	for list, key := range map[string]string{"stages": "name", "edges": "id"} {
		rows, _ := data[list].([]any)
		slices.SortFunc(rows, func(a, b any) int {
			return cmp.Compare(fmt.Sprint(a.(map[string]any)[key]), fmt.Sprint(b.(map[string]any)[key]))
		})
		if len(rows) == 0 {
			data[list] = nil
		}
		for _, name := range []string{"stages_left", "edges_left"} {
			if data[name] == 0.0 {
				delete(data, name)
			}
		}
	}
	return text(t, state)
}

func checkCut(t *testing.T, s string) {
	t.Helper()
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(s)) != nil {
		return
	}
	if got := cut(nil, compact.Bytes(), 1<<30); !strings.Contains(s, "top") && !bytes.Equal(got, compact.Bytes()) {
		t.Errorf("%s became %s", compact.Bytes(), got)
	}
	if got := cut(nil, compact.Bytes(), 1); !json.Valid(got) {
		t.Errorf("%s became %s", compact.Bytes(), got)
	}
}

// TestPlansShowEveryField: a field that is added to a snapshot is on the page, and rows
// are what json.Marshal makes of them.
func TestPlansShowEveryField(t *testing.T) {
	same := func(p plan, v any, without ...string) {
		t.Helper()
		r := reflect.ValueOf(v)
		tab := newTable(p, 10, 1000)
		tab.begin()
		var got, want map[string]any
		if err := json.Unmarshal(tab.put(nil, 0, r, nil), &got); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(v)
		_ = json.Unmarshal(text, &want)
		for _, name := range without {
			delete(want, name)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	}
	r := newRandom(t, 7)
	for range 20 {
		for _, s := range randomStages(r).Stages {
			s.Subscriptions = []stage.SubscriptionSnapshot{{ID: 1}}
			same(stagePlan, s, "subscriptions")
		}
	}
	same(edgePlan, stage.Edge{ID: 1, Producer: "a\"", Consumer: "ü", Demand: 3, Paused: true})
	same(stepPlan, pipeline.StepSnapshot{Name: "a", Inputs: []string{"b"}, Error: "c"})
	type other struct {
		N     pipeline.WorkSnapshot
		Outer struct{ A int } `json:"outer"`
	}
	for _, handler := range []any{
		nil, 7, "text", struct{}{}, other{}, &pipeline.WorkSnapshot{Busy: 1}, time.Now(), fair.Snapshot[string]{}, consumer.ForEachSnapshot{},
		fair.Snapshot[string]{Top: []fair.KeyBacklog[string]{{Key: "a", Events: 2}}, Misused: map[string]uint64{"SubKey": 1}},
		pipeline.WorkSnapshot{Busy: 3, Paused: true, Oldest: time.Second}, pipeline.WorkSnapshot{Ages: []time.Duration{3, 1}},
		struct {
			A    int8          `json:"<a>"`
			B    uint16        `json:"b,omitempty"`
			C    []int         `json:"c,omitempty"`
			D    pipeline.Rate `json:"d,omitempty"`
			skip int
		}{C: []int{}, skip: 1},
		struct {
			A int `json:"a,string"`
		}{3},
		struct {
			A int `json:"-"`
			B float64
		}{3, 0.1},
	} {
		same(stagePlan, stage.Snapshot{Name: "a", Handler: handler})
	}
	same(headPlan, pipeline.Snapshot{Name: "p", Rate: pipeline.Rate{PerSecond: 1.5}}, "steps", "stages", "edges")
}

// TestBusyStage keeps what was known of it.
func TestBusyStage(t *testing.T) {
	g := newGraph(10, 10)
	at := stage.PipelineSnapshot{Stages: []stage.Snapshot{{Name: "a", Phase: stage.PhaseRunning, Handled: 7, Demand: 3}}}
	g.stages(nil, &at)
	at.Stages[0] = stage.Snapshot{Name: "a", Phase: stage.PhaseRunning, Busy: true}
	if b, changed := g.stages(nil, &at); !changed || string(b) != `{"stages":[{"name":"a","busy":true}],"edges":[]}` {
		t.Errorf("%s", b)
	}
	if b := g.whole(nil); !strings.Contains(string(b), `"handled":7`) {
		t.Errorf("%s", b)
	}
	at.Stages[0] = stage.Snapshot{Name: "a", Phase: stage.PhaseRunning, Handled: 8, Demand: 3}
	if b, _ := g.stages(nil, &at); string(b) != `{"stages":[{"name":"a","busy":null,"handled":8}],"edges":[]}` {
		t.Errorf("%s", b)
	}
}
