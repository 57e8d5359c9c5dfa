package main

import (
	"flag"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// envPrefix and a flag's name in capitals make the name of the environment
// variable that is read where the flag is not given.
const envPrefix = "PUSHPIPELINE_"

// secretVariable may hold the secret of socket tokens, for which there is no flag.
const secretVariable = envPrefix + "SECRET"

// environment is a list of NAME=value, as of os.Environ.
type environment []string

// get returns the value of a variable, the last one as programs of the shell do, or "".
func (e environment) get(name string) string {
	for _, entry := range slices.Backward(e) {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}

// envName returns the environment variable of a flag.
func envName(flagName string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// set sets the flags that were not given from their environment variables. It returns
// the name of the variable with the first wrong value. -version is not read.
func (e environment) set(fs *flag.FlagSet) (name string, err error) {
	// A flag on the command line takes precedence over the environment.
	given := map[string]bool{"version": true}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	fs.VisitAll(func(f *flag.Flag) {
		if value := e.get(envName(f.Name)); value != "" && !given[f.Name] && err == nil {
			if err = fs.Set(f.Name, value); err != nil {
				name = envName(f.Name)
			}
		}
	})
	return name, err
}

// unread is a variable with the program's prefix that no option has.
type unread struct {
	name    string
	nearest string // the variable that was perhaps meant; "" if none is like it
}

// ofServices matches what orchestrators set for a service whose name begins with that of
// the program: for PUSHPIPELINE_PORT, PUSHPIPELINE_SERVICE_HOST and the like.
var ofServices = regexp.MustCompile(`^PUSHPIPELINE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// unread returns the variables that have the program's prefix and no meaning, in order of
// their names. Those without a value and those of orchestrators are left out.
func (e environment) unread(fs *flag.FlagSet) (all []unread) {
	known := []string{secretVariable}
	fs.VisitAll(func(f *flag.Flag) {
		if f.Name != "version" {
			known = append(known, envName(f.Name))
		}
	})
	for _, entry := range e {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix), value == "", slices.Contains(known, name), ofServices.MatchString(name):
		// The link to a service: of this name, or tcp://host:port of a longer one.
		case name == envPrefix+"PORT", strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://"):
		default:
			all = append(all, unread{name, nearest(name, known)})
		}
	}
	slices.SortFunc(all, func(a, b unread) int { return strings.Compare(a.name, b.name) })
	return slices.Compact(all)
}

// warnUnread logs the variables that have no effect. Their values may be secrets.
func warnUnread(log *slog.Logger, all []unread) {
	for _, u := range all {
		args := []any{"variable", u.name}
		if u.nearest != "" {
			args = append(args, "nearest", u.nearest)
		}
		log.Warn("an environment variable names no option and is ignored", args...)
	}
}

// nearest returns the name that takes the fewest changed letters, or "" if it takes more
// than a third of those after the prefix.
func nearest(name string, known []string) (best string) {
	least := max(2, (len(name)-len(envPrefix))/3) + 1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many letters must be changed, added or removed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
