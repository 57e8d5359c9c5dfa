package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"strconv"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pipeline"
)

// maxBody bounds the body of an action.
const maxBody = 64 << 10

// command is the body of an action on a part, or on one step of it.
type command struct {
	Part   string  `json:"part"`
	Step   string  `json:"step"`
	Action string  `json:"action"`
	Value  float64 `json:"value"`
}

// refusal is an error with the status of its response.
type refusal struct {
	status int
	text   string
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// admit checks that a request may act, reads its body into v and notes that it acts, until
// the caller calls exit. Otherwise it replies and returns false.
func (d *Dashboard) admit(w http.ResponseWriter, r *http.Request, v any) bool {
	err := d.check(r)
	if err == nil {
		err = body(w, r, v)
	}
	if err == nil {
		err = d.enter()
	}
	if err == nil {
		return true
	}
	d.refused.Log(d.cfg.Logger, slog.LevelWarn, "dashboard: an action was refused", "remote", r.RemoteAddr, "path", r.URL.Path, "error", err)
	deny(w, err)
	return false
}

// enter notes that an action runs, for which Close waits.
func (d *Dashboard) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return refuse(http.StatusServiceUnavailable, "%v", errStopped)
	}
	d.running++
	return nil
}

// exit notes that an action has ended.
func (d *Dashboard) exit() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	d.rest()
}

// check refuses requests of other sites, and ones that the program does not allow.
func (d *Dashboard) check(r *http.Request) error {
	if err := d.origins.Check(r); err != nil {
		return refuse(http.StatusForbidden, "a page of another site may not do this")
	}
	// A form of another site can send any body, but not this type.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
	}
	if !d.may(r) {
		return refuse(http.StatusForbidden, "this program does not allow you to control it")
	}
	return nil
}

// body decodes the one JSON value of a body.
func body(w http.ResponseWriter, r *http.Request, v any) error {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	in.DisallowUnknownFields()
	err := in.Decode(v)
	if err == nil {
		if _, end := in.Token(); end != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "the body is wrong: %v", err)
	}
	return nil
}

// deny replies with an error.
func deny(w http.ResponseWriter, err error) { fail(w, statusOf(err), err.Error()) }

// statusOf returns the status for an error. That of the program's own ones is 409.
func statusOf(err error) int {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status
	}
	if _, ok := errors.AsType[*OptionError](err); ok {
		return http.StatusBadRequest
	}
	return http.StatusConflict
}

// serveControl carries out an action.
func (d *Dashboard) serveControl(w http.ResponseWriter, r *http.Request) {
	var c command
	if !d.admit(w, r, &c) {
		return
	}
	defer d.exit()
	p, err := d.part(c.Part)
	if err == nil {
		err = p.act(&c)
	}
	attrs := []any{"remote", r.RemoteAddr, "part", c.Part, "step", c.Step, "action", c.Action, "value", c.Value}
	if p != nil && p.pipeline != nil {
		attrs = append(attrs, "pipeline", p.pipeline.Name())
	} else if p != nil {
		attrs = append(attrs, "pipeline", p.Name)
	}
	if err != nil {
		d.cfg.Logger.Warn("dashboard: an action has failed", append(attrs, "error", err)...)
		deny(w, err)
		return
	}
	d.cfg.Logger.Info("dashboard: an action", attrs...)
	w.WriteHeader(http.StatusNoContent)
}

// part returns the part of an id.
func (d *Dashboard) part(id string) (*Part, error) {
	i, err := strconv.Atoi(id)
	if err != nil || i < 0 || i >= len(d.parts) || id != strconv.Itoa(i) {
		return nil, refuse(http.StatusNotFound, "there is no part %q", id)
	}
	return &d.parts[i], nil
}

// act carries out an action on a pipeline or a step.
func (p *Part) act(c *command) (err error) {
	if p.pipeline == nil && len(p.controls) == 0 {
		return refuse(http.StatusBadRequest, "a part of kind %q cannot be controlled", p.Kind)
	}
	defer crash.Catch(&err) // a step's handler may be the program's
	if p.pipeline == nil {
		return p.onStage(c)
	}
	if c.Step == "" {
		return onPipeline(p.pipeline, c)
	}
	s, ok := p.pipeline.Step(c.Step)
	if !ok {
		return refuse(http.StatusNotFound, "there is no step %q", c.Step)
	}
	return onStep(s, c)
}

// onPipeline carries out an action on a whole pipeline.
func onPipeline(p *pipeline.Pipeline, c *command) error {
	switch c.Action {
	case "pause":
		p.Pause()
	case "resume":
		p.Resume()
	case "rate":
		return p.SetRate(pipeline.Rate{PerSecond: c.Value})
	case "drain":
		p.Drain()
	case "resize", "restart":
		return refuse(http.StatusBadRequest, "%s is for a step", c.Action)
	default:
		return unknown(c.Action)
	}
	return nil
}

// onStep carries out an action on one step.
func onStep(s *pipeline.Step, c *command) error {
	switch c.Action {
	case "pause":
		s.Pause()
	case "resume":
		s.Resume()
	case "resize":
		if c.Value != math.Trunc(c.Value) || math.Abs(c.Value) > math.MaxInt32 {
			return refuse(http.StatusBadRequest, "a number of workers is a whole number")
		}
		return s.Resize(int(c.Value))
	case "rate":
		return s.SetRate(pipeline.Rate{PerSecond: c.Value})
	case "restart":
		return s.Restart()
	case "drain":
		return s.Drain()
	default:
		return unknown(c.Action)
	}
	return nil
}

func unknown(action string) error {
	return refuse(http.StatusBadRequest, "there is no action %q", action)
}
