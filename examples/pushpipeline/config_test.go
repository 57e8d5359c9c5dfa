package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, env map[string]string, args ...string) (config, string, error) {
	t.Helper()
	var out, errOut bytes.Buffer
	var list environment
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	c, err := parseConfig(args, list, &out, &errOut)
	return c, out.String() + errOut.String(), err
}

func TestConfigDefaults(t *testing.T) {
	c, _, err := parse(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Source != "kafka" || c.Brokers != "" || c.Topic != "pushes" || c.Group != "pushpipeline" {
		t.Errorf("source %q brokers %q topic %q group %q", c.Source, c.Brokers, c.Topic, c.Group)
	}
	if c.Users != 200 || c.Rate != 2000 || c.HeavyShare != 0.5 || c.Clients != 200 {
		t.Errorf("users %d rate %v heavy %v clients %d", c.Users, c.Rate, c.HeavyShare, c.Clients)
	}
	if len(c.Secret) < 20 {
		t.Errorf("a secret of %d bytes was made up", len(c.Secret))
	}
}

func TestConfigOptionOverEnvironmentOverDefault(t *testing.T) {
	env := map[string]string{"PUSHPIPELINE_USERS": "7", "PUSHPIPELINE_HEAVY_SHARE": "0.25", "PUSHPIPELINE_DURATION": "3s"}
	c, _, err := parse(t, env, "-users", "9")
	if err != nil {
		t.Fatal(err)
	}
	if c.Users != 9 || c.HeavyShare != 0.25 || c.Duration != 3*time.Second || c.Clients != 9 {
		t.Errorf("users %d heavy %v duration %v clients %d", c.Users, c.HeavyShare, c.Duration, c.Clients)
	}
}

func TestConfigRefusesAndNamesTheOption(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-source", "redis"}, `-source "redis"`},
		{[]string{"-workers", "0"}, "-workers 0"},
		{[]string{"-users", "0"}, "-users 0"},
		{[]string{"-users", "3", "-clients", "4"}, "-clients 4"},
		{[]string{"-rate", "-1"}, "-rate -1"},
		{[]string{"-rate", "NaN"}, "-rate NaN"},
		{[]string{"-heavy-share", "1.5"}, "-heavy-share 1.5"},
		{[]string{"-addr", "nowhere"}, `-addr "nowhere"`},
		{[]string{"-statsd", "nowhere"}, `-statsd "nowhere"`},
		{[]string{"-brokers", "a:1,b"}, `-brokers "b"`},
		{[]string{"-source", "memory", "-brokers", "a:1"}, "-brokers needs"},
		{[]string{"-debug-addr", "0.0.0.0:6060"}, "-debug-addr"},
		{[]string{"-addr", ":4000"}, "-plaintext"},
		{[]string{"-addr", ":4000", "-plaintext", "-push-addr", "off"}, "needs -host"},
		{[]string{"-host", "https://a.example/"}, "-host"},
		{[]string{"-proxies", "10.0.0.1"}, "-proxies"},
		{[]string{"-tls-cert", "a"}, "go together"},
		{[]string{"-token-age", "1s"}, "-token-age 1s"},
		{[]string{"-users", "10", "-max-connections", "5"}, "-max-connections"},
		{[]string{"-addr", "0.0.0.0:4000"}, "-plaintext"},
		{[]string{"-secret-file", fileWith(t, "short")}, ": the secret has 5 bytes: 20 or more"},
		{[]string{"-addr", "0.0.0.0:4000", "-plaintext", "-push-addr", "off", "-host", "a.example"}, "needs -secret-file"},
		{[]string{"-clients", "-2"}, "-clients -2 is not allowed: from 0 to -users, which is 200, or -1"},
		{[]string{"-drain", "25h"}, "-drain 25h0m0s is not allowed: from 0s to 24h"},
		{[]string{"-grace", "-1s"}, "-grace -1s is not allowed: from 0s to 24h"},
		{[]string{"-grace", "0s", "-full-grace"}, "-full-grace needs"},
		{[]string{"-source", "memory", "-full-grace"}, "-full-grace needs"},
		{[]string{"-topic", "a b"}, `-topic "a b"`},
		{[]string{"-topic", ".."}, `-topic ".."`},
		{[]string{"-host", "https://a.example"}, "without a scheme"},
		{[]string{"-drain", "25"}, "flag -drain: a duration with its unit, such as 1500ms, 10s or 2m is required (how long"},
		{[]string{"-users", "99999999999999999999"}, "a whole number is required (users that the load generator pushes to, 1 to 1000000)"},
		{[]string{"-rate", "fast"}, "a number is required"},
		{[]string{"-demo=maybe"}, "true or false is required"},
		{[]string{"-rate"}, "needs an argument: -rate"},
		{[]string{"-secret-file", "/nowhere"}, "-secret-file: open /nowhere"},
		{[]string{"-secret", "in the command line"}, "-secret"},
		{[]string{"-partitions", "65"}, "-retention-mib 64"},
		{[]string{"-overflow", "explode"}, `-overflow "explode"`},
		{[]string{"-push-rate", "NaN"}, "-push-rate NaN"},
		{[]string{"-push-addr", "nowhere"}, `-push-addr "nowhere"`},
		{[]string{"-push-addr", "0.0.0.0:4002"}, "-push-key-file"},
		{[]string{"-addr", "0.0.0.0:4000", "-plaintext"}, "-push-key-file"},
		{[]string{"-log-level", "loud"}, `-log-level "loud"`},
		{[]string{"-duration", "-1s"}, "-duration -1s"},
		{[]string{"-nonsense"}, "-nonsense"},
		{[]string{"extra"}, `"extra"`},
	} {
		_, out, err := parse(t, nil, tt.args...)
		if !errors.Is(err, errUsage) || !strings.Contains(out, tt.want) {
			t.Errorf("%v: %v\n%s\nwant it to name %s", tt.args, err, out, tt.want)
		}
		if strings.Contains(out, "Usage:") {
			t.Errorf("%v: the help hides the message\n%s", tt.args, out)
		}
	}
	_, out, err := parse(t, map[string]string{"PUSHPIPELINE_WORKERS": "many"})
	if !errors.Is(err, errUsage) || !strings.Contains(out, "PUSHPIPELINE_WORKERS: a whole number is required") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestOneLineForOneFault: what follows from a fault alone is not reported beside it.
func TestOneLineForOneFault(t *testing.T) {
	for _, args := range [][]string{
		{"-addr", "host:99999"}, {"-push-addr", "host:99999"}, {"-debug-addr", "host:99999"}, {"-addr", "host"},
	} {
		_, out, err := parse(t, nil, args...)
		if want := args[0] + " \"" + args[1] + "\" is not a host:port"; !errors.Is(err, errUsage) || !strings.Contains(out, want) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		if n := strings.Count(out, "\n"); n != 2 { // the fault, and where the help is
			t.Errorf("%v: %d lines\n%s", args, n, out)
		}
	}
}

// TestFilesOfTheCommandLine: a file that cannot be used is a wrong command line, whichever
// option names it.
func TestFilesOfTheCommandLine(t *testing.T) {
	for _, args := range [][]string{
		{"-secret-file", "/nowhere"}, {"-secret-file", fileWith(t, "short")},
		{"-push-key-file", "/nowhere"}, {"-push-key-file", fileWith(t, "short")}, {"-push-key-file", fileWith(t, "")},
		{"-push-jwt-file", "/nowhere"}, {"-push-jwt-file", fileWith(t, "short")},
		{"-tls-cert", "/nowhere", "-tls-key", "/nowhere"}, {"-tls-cert", fileWith(t, "a"), "-tls-key", fileWith(t, "b")},
	} {
		var out, errOut bytes.Buffer
		if code := command(args, nil, &out, &errOut); code != 2 || !strings.Contains(errOut.String(), "pushpipeline: "+args[0]) {
			t.Errorf("%v: exit code %d\n%s", args, code, errOut.String())
		}
	}
}

func TestHelpNamesEveryOptionAndItsVariable(t *testing.T) {
	_, out, err := parse(t, nil, "-h")
	if !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, name := range []string{"source", "brokers", "users", "rate", "heavy-share", "clients", "statsd", "workers", "duration", "json", "version"} {
		if !strings.Contains(out, "  -"+name+" ") {
			t.Errorf("-%s is missing", name)
		}
		if strings.Contains(out, "  -"+name+" value\n") {
			t.Errorf("-%s has a value of no type", name)
		}
		if name != "version" && !strings.Contains(out, envName(name)) {
			t.Errorf("%s is missing", envName(name))
		}
	}
}

func TestVersion(t *testing.T) {
	_, out, err := parse(t, nil, "-version")
	if !errors.Is(err, flag.ErrHelp) || !strings.HasPrefix(out, "pushpipeline ") {
		t.Errorf("%v %q", err, out)
	}
}
