package pipeline

import (
	"errors"

	"github.com/penstock-go/penstock/stage"
)

func addStages(*stage.Pipeline, ...stage.Stage) error { return errors.ErrUnsupported }

var _ = (*run).failed
