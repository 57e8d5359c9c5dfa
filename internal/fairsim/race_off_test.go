//go:build !race

package fairsim

const raced = false
