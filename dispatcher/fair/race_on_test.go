//go:build race

package fair

// raced says that the race detector is on, which makes the models some fifteen
// times slower and finds nothing in code without goroutines.
const raced = true
