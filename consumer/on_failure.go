package consumer

import (
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
)

// OnFailure decides what follows when an event or a batch has failed in its last attempt.
type OnFailure uint8

const (
	// FailEvents gives the events the receipt Failed, and the stage goes on. It is
	// the default.
	FailEvents OnFailure = iota
	// StopStage stops the stage with the error. The events get no receipt: with
	// Redeliver another consumer has them, and their source has them again.
	StopStage
)

// validate refuses unknown values.
func (o OnFailure) validate(owner option.Owner) error {
	return owner.Check(o <= StopStage, "OnFailure", o, "FailEvents or StopStage")
}

// keeps refuses dead letters where events are left to their source.
func (o OnFailure) keeps(owner option.Owner, sink deadletter.Sink) error {
	return owner.Check(o == FailEvents || sink == nil, "DeadLetters", sink, "nil, since only FailEvents uses it")
}
