package dashboard

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/penstock-go/penstock/stage"
)

// Control is what the page may do with one stage of [Stages], by functions of the program.
// A field that is nil is not offered. The functions may be called on several goroutines at
// once; the status for an error of theirs is 409, or 400 for an [*OptionError].
type Control struct {
	// Stage is the stage's name. [New] logs a warning if the pipeline has no such stage, which
	// may be added to it later; the page shows nothing of it until then.
	Stage string
	// Pause and Resume belong together, and to Paused, which reports what holds now: such as
	// those of a [stage.Subscription].
	Pause, Resume func()
	Paused        func() bool
	// Resize sets the number of workers, 1 or more. Workers, if set, returns it, for the page
	// to show, and needs Resize.
	Resize  func(workers int) error
	Workers func() int
	// Rate sets a rate a second, 0 for none. RateOf says in words of what it is, such as
	// "pushes a second for each user". Default: "events a second".
	Rate   func(perSecond float64) error
	RateOf string
}

// Stages shows a pipeline of package stage. Such a pipeline knows no controls: the page has
// those that the program gives, for requests that Config.Allow lets through. It keeps a copy
// of controls.
func Stages(name string, p *stage.Pipeline, controls ...Control) Part {
	if p == nil {
		return Part{err: needs("a *stage.Pipeline")}
	}
	controls = slices.Clone(controls)
	part := Part{Kind: "stages", Name: name, controls: controls}
	if part.err = checkControls(controls); part.err != nil {
		return part
	}
	part.absent = absent(p, controls)
	if len(controls) == 0 {
		part.Snapshot = func(ctx context.Context) any { return p.Snapshot(ctx) }
		return part
	}
	part.Snapshot = func(ctx context.Context) any {
		s := controlled{PipelineSnapshot: p.Snapshot(ctx), Steps: make([]offer, len(controls))}
		for i := range controls {
			s.Steps[i] = controls[i].offer()
		}
		return s
	}
	return part
}

// absent returns the stages of controls that p does not have. It waits for no handler: only
// names are looked at.
func absent(p *stage.Pipeline, controls []Control) (names []string) {
	if len(controls) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	stages := p.Snapshot(ctx).Stages
	for _, c := range controls {
		if !slices.ContainsFunc(stages, func(s stage.Snapshot) bool { return s.Name == c.Stage }) {
			names = append(names, c.Stage)
		}
	}
	return names
}

func checkControls(controls []Control) error {
	seen := make(map[string]bool)
	for _, c := range controls {
		switch {
		case c.Stage == "" || seen[c.Stage]:
			return needs("one Control for a stage, with its name")
		case (c.Pause == nil) != (c.Resume == nil) || (c.Pause == nil) != (c.Paused == nil):
			return needs("Pause, Resume and Paused of a Control together")
		case c.Pause == nil && c.Resize == nil && c.Rate == nil:
			return needs("a function in each Control")
		case c.Workers != nil && c.Resize == nil:
			return needs("Resize in a Control with Workers")
		}
		seen[c.Stage] = true
	}
	return nil
}

// controlled is the snapshot of stages with controls, which take the place of the steps of a
// pipeline.
type controlled struct {
	stage.PipelineSnapshot
	Steps []offer `json:"steps"`
}

// offer is what the page may do with a stage.
type offer struct {
	Name    string   `json:"name"`
	Paused  bool     `json:"paused"`
	Actions []string `json:"actions"`
	Workers int      `json:"workers,omitempty"`
	RateOf  string   `json:"rate_of,omitempty"`
}

func (c *Control) offer() offer {
	o := offer{Name: c.Stage}
	if c.Pause != nil {
		o.Paused = c.Paused()
		o.Actions = append(o.Actions, "pause", "resume")
	}
	if c.Rate != nil {
		o.Actions, o.RateOf = append(o.Actions, "rate"), c.RateOf
	}
	if c.Resize != nil {
		o.Actions = append(o.Actions, "resize")
	}
	if c.Workers != nil {
		o.Workers = c.Workers()
	}
	return o
}

// onStage carries out an action on a stage.
func (p *Part) onStage(c *command) error {
	for i := range p.controls {
		if p.controls[i].Stage == c.Step {
			return p.controls[i].act(c)
		}
	}
	return refuse(http.StatusNotFound, "there is no stage %q with controls", c.Step)
}

func (c *Control) act(do *command) error {
	switch {
	case do.Action == "pause" && c.Pause != nil:
		c.Pause()
	case do.Action == "resume" && c.Resume != nil:
		c.Resume()
	case do.Action == "resize" && c.Resize != nil:
		n, err := do.workers()
		if err != nil {
			return err
		}
		return c.Resize(n)
	case do.Action == "rate" && c.Rate != nil:
		if do.Value < 0 {
			return refuse(http.StatusBadRequest, "a rate is 0 or more")
		}
		return c.Rate(do.Value)
	default:
		return refuse(http.StatusBadRequest, "%s is not possible for the stage %q", word(do.Action), c.Stage)
	}
	return nil
}

// word is an action's name, or what stands for one that there is none of.
func word(action string) string {
	switch action {
	case "pause", "resume", "resize", "rate", "restart", "drain":
		return action
	}
	return fmt.Sprintf("the action %q", action)
}

// workers is the value of a resize.
func (c *command) workers() (int, error) {
	if c.Value != math.Trunc(c.Value) || c.Value < 1 || c.Value > math.MaxInt32 {
		return 0, refuse(http.StatusBadRequest, "a number of workers is a whole number, 1 or more")
	}
	return int(c.Value), nil
}
