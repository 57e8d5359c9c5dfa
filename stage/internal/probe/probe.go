// Package probe restricts the functions of package stage that make parts of a stage
// without the stage to package stagetest.
package probe

// Key is a parameter of those functions. Only packages below stage can name it.
type Key struct{}
