package main

import (
	"bytes"
	"flag"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestUnreadVariablesAreNamed(t *testing.T) {
	var out bytes.Buffer
	env := environment{
		"PUSHPIPELINE_USRS=7", "PUSHPIPELINE_PUSH_RAT=1", "PUSHPIPELINE_SECRTE=hidden", "PUSHPIPELINE_DEPLOYMENT_COLOUR=blue",
		"PUSHPIPELINE_USERS=9", "PUSHPIPELINE_SECRET=0123456789abcdefghij", "PUSHPIPELINE_EMPTY=", "PATH=/bin", "PUSHPIPELINE=1",
		// These are the variables of a Kubernetes service pushpipeline, and of pushpipeline-web.
		"PUSHPIPELINE_PORT=tcp://10.0.0.1:80", "PUSHPIPELINE_SERVICE_HOST=10.0.0.1", "PUSHPIPELINE_SERVICE_PORT=80",
		"PUSHPIPELINE_SERVICE_PORT_HTTP=80", "PUSHPIPELINE_PORT_80_TCP=tcp://10.0.0.1:80", "PUSHPIPELINE_PORT_80_TCP_ADDR=10.0.0.1",
		"PUSHPIPELINE_PORT_80_TCP_PORT=80", "PUSHPIPELINE_PORT_80_TCP_PROTO=tcp",
		"PUSHPIPELINE_WEB_PORT=tcp://10.0.0.2:80", "PUSHPIPELINE_WEB_SERVICE_HOST=10.0.0.2", "PUSHPIPELINE_WEB_PORT_80_TCP=tcp://10.0.0.2:80",
		"PUSHPIPELINE_PUSH_PORT=4002",
	}
	c, err := parseConfig(nil, env, &out, &out)
	if err != nil {
		t.Fatal(err, out.String())
	}
	want := []unread{
		{"PUSHPIPELINE_DEPLOYMENT_COLOUR", ""},
		{"PUSHPIPELINE_PUSH_PORT", ""},
		{"PUSHPIPELINE_PUSH_RAT", "PUSHPIPELINE_PUSH_RATE"},
		{"PUSHPIPELINE_SECRTE", "PUSHPIPELINE_SECRET"},
		{"PUSHPIPELINE_USRS", "PUSHPIPELINE_USERS"},
	}
	if !slices.Equal(c.Unread, want) {
		t.Errorf("got %v\nwant %v", c.Unread, want)
	}
	if c.Users != 9 {
		t.Errorf("%d users", c.Users)
	}
}

func TestUnreadVariablesAreLogged(t *testing.T) {
	var out, errOut bytes.Buffer
	env := environment{"PUSHPIPELINE_SECRTE=hidden"}
	args := []string{"-source", "memory", "-rate", "0", "-clients", "0", "-duration", "1ms", "-addr", "127.0.0.1:0", "-debug-addr", "off"}
	if code := command(args, env, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d\n%s", code, errOut.String())
	}
	text := errOut.String()
	if !strings.Contains(text, "level=WARN") || !strings.Contains(text, "variable=PUSHPIPELINE_SECRTE nearest=PUSHPIPELINE_SECRET") {
		t.Errorf("the log does not name the variable:\n%s", text)
	}
	if strings.Contains(text, "hidden") {
		t.Errorf("the log has the value:\n%s", text)
	}
}

func TestWarnUnreadNamesNoDistantOption(t *testing.T) {
	var out bytes.Buffer
	warnUnread(slog.New(slog.NewTextHandler(&out, nil)), environment{"PUSHPIPELINE_X=1"}.unread(flag.NewFlagSet("", flag.ContinueOnError)))
	if text := out.String(); !strings.Contains(text, "PUSHPIPELINE_X") || strings.Contains(text, "nearest") {
		t.Error(text)
	}
}

func TestTheLastOfTwoVariablesCounts(t *testing.T) {
	env := environment{"PUSHPIPELINE_USERS=1", "PUSHPIPELINE_USERS=2"}
	if got := env.get("PUSHPIPELINE_USERS"); got != "2" {
		t.Error(got)
	}
}
