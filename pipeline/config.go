package pipeline

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// Config configures [New]. The zero value is useful. What it sets for all steps can be
// set for each step alone.
type Config struct {
	// Name names the pipeline in logs, snapshots and dead letters. Default: "pipeline".
	Name string
	// Retry is how often, and after which pauses, an event that has failed is tried
	// again. Default: 3 attempts, see package retry.
	Retry retry.Policy
	// DeadLetters gets the events that have failed for good. nil stores none: they are
	// counted and logged.
	DeadLetters deadletter.Sink
	// Rate limits what the sources emit together, in equal parts as long as all of them
	// have events; [Pipeline.SetRate] changes it. A drain goes on at the rate. What a
	// source emits without being asked is not limited. The zero value is no limit.
	//
	// What comes late, by a timer or since the source takes its time, is made up for, up to
	// what the rate brings in 100 ms. So a source reaches the rate if it emits within 50 ms
	// what it was asked for; a slower one needs a Burst of what the rate brings in twice its
	// delay. How much it is asked for is bounded by the demand of the steps below it as well.
	Rate Rate
	// Restart is what follows when a step dies. Default: it is made anew, up to 3
	// times in 5 s.
	Restart Restart
	// DrainTimeout bounds the orderly end. Default: 30 s.
	DrainTimeout time.Duration
	// StopTimeout bounds how long Run waits for functions whose context was cancelled.
	// Default: 5 s.
	StopTimeout time.Duration
	// Metrics gets the figures of the steps, see docs/metrics.md. nil records nothing.
	Metrics metrics.Recorder
	// MetricsInterval is the time between two reports of the stages' figures. Default: 1 s.
	MetricsInterval time.Duration
	// Tracer makes the spans of sampled events, see package trace. nil makes none.
	Tracer trace.Tracer
	// Logger gets what an operator should know. Default: slog.Default.
	Logger *slog.Logger
}

const pipelineOwner = option.Owner("pipeline.Pipeline")

// validate returns the refused options.
func (c *Config) validate() []error {
	return []error{
		option.AtLeast(pipelineOwner, "DrainTimeout", c.DrainTimeout, 0),
		option.AtLeast(pipelineOwner, "StopTimeout", c.StopTimeout, 0),
		option.AtLeast(pipelineOwner, "MetricsInterval", c.MetricsInterval, 0),
		pipelineOwner.Recorder(c.Metrics),
		pipelineOwner.Optional("Tracer", c.Tracer, "a tracer"),
		pipelineOwner.Optional("DeadLetters", c.DeadLetters, "a sink"),
		c.Retry.Validate(string(pipelineOwner)),
		checkRate(pipelineOwner, "Rate", c.Rate),
		c.Restart.validate(pipelineOwner),
	}
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	option.Default(&c.Name, "pipeline")
	option.Default(&c.DrainTimeout, 30*time.Second)
	option.Default(&c.StopTimeout, 5*time.Second)
	option.Default(&c.MetricsInterval, time.Second)
	option.Logger(&c.Logger)
	c.Retry = c.Retry.WithDefaults()
	c.Restart = c.Restart.or(Restart{})
	return c
}

// SourceConfig configures [From] and [FromFunc]. The zero value is useful.
type SourceConfig[T any] struct {
	// Name names the step in errors, logs, metrics and snapshots, and for
	// [Pipeline.Step]. Default: made from the kind and the place, such as "from-1".
	Name string
	// Rate limits what the source emits, beside the rate of the whole pipeline;
	// [Step.SetRate] changes it. The zero value is no limit.
	Rate Rate
	// Restart is what follows when a source of FromFunc fails. Default: the pipeline's.
	// A source of From is never made anew: the pipeline ends with its error.
	Restart Restart
}

// StageConfig configures [Through] and [To]. The zero value is useful.
type StageConfig struct {
	// Name is as in SourceConfig.
	Name string
	// MaxDemand bounds the events that the stage has and has not finished. Default:
	// 1000, or the handler's own default.
	MaxDemand int
	// MinDemand is the open demand at or below which the stage asks for more. Default:
	// half of MaxDemand; stage.None means 0.
	MinDemand int
	// Restart is what follows when the stage fails. Default: the pipeline's.
	Restart Restart
}

// demand returns the config of the stage's subscriptions.
func (c StageConfig) demand() stage.SubscribeConfig {
	return stage.SubscribeConfig{MaxDemand: c.MaxDemand, MinDemand: c.MinDemand}
}
