package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// binary is the tool as users have it.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "deadletters")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "deadletters.exe")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Printf("%v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// result is what a run of the tool has printed and returned.
type result struct {
	out, log string
	code     int
}

// deadletters runs the tool with a command line.
func deadletters(t *testing.T, args ...string) (r result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, log bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &log, append(os.Environ(), "TZ=UTC")
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), log.String(), cmd.ProcessState.ExitCode()}
}

var day = time.Date(2020, 11, 28, 5, 0, 0, 0, time.UTC)

// someLetters returns letters of two stages; number 4 is binary.
func someLetters() (all []deadletter.Letter) {
	for i := range 6 {
		l := deadletter.Of(map[string]int{"id": i + 1}, nil)
		l.Stage, l.Error, l.Attempts, l.Key = "rows", "no such table", 3, fmt.Sprint("k", i+1)
		if i%2 == 1 {
			l.Stage, l.Error = "push", "timeout\x1b[2J\nafter "+fmt.Sprint(i)
		}
		if i == 3 {
			l.SetBytes([]byte{0, 1, 0xff})
		}
		l.First, l.Last = day.Add(time.Duration(i)*time.Hour), day.Add(time.Duration(i)*time.Hour+time.Second)
		l.Source = fmt.Sprintf("pushes/0@%d", i)
		all = append(all, l)
	}
	return all
}

// write makes a file of letters and returns its path.
func write(t *testing.T, letters []deadletter.Letter, maxBytes int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "letters.ndjson")
	f := stage.Must(deadletter.NewFile(path, deadletter.FileConfig{MaxBytes: maxBytes, Logger: slog.New(slog.DiscardHandler)}))
	for _, l := range letters {
		if err := f.Write(t.Context(), []deadletter.Letter{l}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestList(t *testing.T) {
	path := write(t, someLetters(), 500) // over several files
	r := deadletters(t, "list", path)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if r.code != 0 || r.log != "" || len(lines) != 7 || strings.ContainsRune(r.out, '\x1b') {
		t.Fatalf("%+v", r)
	}
	if want := "1  2020-11-28 05:00:01  rows   no such table        3         pushes/0@0  k1"; lines[1] != want {
		t.Errorf("%q, want\n%q", lines[1], want)
	}
	for args, want := range map[string]string{
		"-stage rows": "1 3 5",
		"-stage=rows -since 2020-11-28T07:00:00Z": "3 5",
		"-error table":               "1 3 5",
		"-since 1ns":                 "",
		"-stage push -error timeout": "2 4 6",
	} {
		r := deadletters(t, slices.Concat([]string{"list"}, strings.Fields(args), []string{path})...)
		var got []string
		for line := range strings.Lines(r.out) {
			got = append(got, strings.Fields(line)[0])
		}
		if strings.Join(got[1:], " ") != want || r.code != 0 {
			t.Errorf("%s: %+v", args, r)
		}
	}
	r = deadletters(t, "list", path, "-json", "-stage", "push") // options may come last
	var first struct {
		N int
		deadletter.Letter
	}
	if err := json.Unmarshal([]byte(strings.SplitN(r.out, "\n", 2)[0]), &first); err != nil || first.N != 2 || first.Source != "pushes/0@1" || strings.Count(r.out, "\n") != 3 {
		t.Errorf("%v, %+v, %s", err, first, r.out)
	}
}

func TestShowAndCount(t *testing.T) {
	path := write(t, someLetters(), 0)
	r := deadletters(t, "show", path, "1")
	for _, want := range []string{"stage:     rows", "attempts:  3", "source:    pushes/0@0", "event:\n{\n  \"id\": 1\n}\n"} {
		if !strings.Contains(r.out, want) || r.code != 0 {
			t.Errorf("no %q in %+v", want, r)
		}
	}
	if r := deadletters(t, "show", path, "4"); !strings.Contains(r.out, "event, 3 bytes:\n00000000  00 01 ff") || strings.ContainsRune(r.out, '\x1b') {
		t.Errorf("%+v", r)
	}
	if r := deadletters(t, "show", path, "7"); r.code != 1 || !strings.Contains(r.log, "no letter 7") {
		t.Errorf("%+v", r)
	}
	r = deadletters(t, "count", path)
	lines := strings.Split(r.out, "\n")
	if strings.Join(strings.Fields(lines[1]), " ") != "3 rows no such table 2020-11-28 05:00:00 2020-11-28 09:00:01" || strings.Join(strings.Fields(lines[5]), " ") != "6 (all)" {
		t.Errorf("%s", r.out)
	}
	if r := deadletters(t, "count", "-json", path); !strings.HasPrefix(r.out, `{"stage":"rows","error":"no such table","count":3,`) {
		t.Errorf("%+v", r)
	}
}

// What cannot be read is noted and makes the exit code 1; a line that is being written does
// not.
func TestBadLines(t *testing.T) {
	path := write(t, someLetters()[:2], 0)
	add := func(text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	add(`{"stage":"ro`)
	if r := deadletters(t, "list", path); r.code != 0 || !strings.Contains(r.log, "line 3: the last line is cut off") || strings.Count(r.out, "\n") != 3 {
		t.Errorf("%+v", r)
	}
	add("\n" + `{"stage":"s","event":1}` + "\n")
	if r := deadletters(t, "list", path); r.code != 1 || !strings.Contains(r.log, "line 3:") || strings.Count(r.out, "\n") != 4 {
		t.Errorf("%+v", r)
	}
}

func TestUsage(t *testing.T) {
	path := write(t, someLetters()[:1], 0)
	for args, text := range map[string]string{
		"":                                   "deadletters looks at",
		"eat":                                `no command "eat"`,
		"list":                               "which file?",
		"list a b":                           `what is "b"?`,
		"list -no a":                         "-no",
		"list -since x a":                    "neither an age",
		"list -from t":                       "need -brokers",
		"show a":                             "which letter?",
		"show a x":                           "not the number",
		"play a":                             "where to?",
		"play a -to ftp://x":                 "neither http",
		"play a -to - -topic t":              "need -brokers",
		"play a -to - -topic t -brokers b:1": "either -to or -topic",
		"play a -to - -rate -1":              "0 or more",
		"play a -to - -header x":             "not name: value",
		"play -from t -topic t -brokers b:1": "the same topic",
	} {
		if r := deadletters(t, strings.Fields(args)...); r.code != 2 || !strings.Contains(r.log, text) || r.out != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
	for args, text := range map[string]string{"-h": "deadletters play", "list -h": "-since", "play -h": "-dry-run"} {
		if r := deadletters(t, strings.Fields(args)...); r.code != 0 || !strings.Contains(r.out, text) || r.log != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if r := deadletters(t, "list", filepath.Join(filepath.Dir(path), "none")); r.code != 1 || !strings.Contains(r.log, "no such file") {
		t.Errorf("%+v", r)
	}
}

func TestPlayToStdout(t *testing.T) {
	path := write(t, someLetters(), 0)
	want := "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n\"AAH/\"\n{\"id\":5}\n{\"id\":6}\n"
	if r := deadletters(t, "play", path, "-to", "-", "-dry-run", "-stage", "push"); r.code != 0 || strings.Count(r.out, "\n") != 4 || !strings.Contains(r.log, "would play 3") {
		t.Errorf("%+v", r)
	}
	if r := deadletters(t, "play", path, "-to", "-", "-limit", "2"); r.code != 0 || r.out != want[:18] || !strings.Contains(r.log, "played 2") {
		t.Errorf("%+v", r)
	}
	if r := deadletters(t, "play", path, "-to", "-", "-number", "4"); r.out != "\"AAH/\"\n" {
		t.Errorf("%+v", r)
	}
	if r := deadletters(t, "play", path, "-to", "-", "-rate", "1000"); r.out != "{\"id\":3}\n{\"id\":5}\n{\"id\":6}\n" || !strings.Contains(r.log, "3 were played before") {
		t.Errorf("%+v", r)
	}
	if r := deadletters(t, "play", path, "-to", "-", "-again"); r.out != want {
		t.Errorf("%+v", r)
	}
	// What comes later, also in another file, is played alone.
	l := someLetters()[0]
	f := stage.Must(deadletter.NewFile(path, deadletter.FileConfig{MaxBytes: 1, Logger: slog.New(slog.DiscardHandler)}))
	if err := errors.Join(f.Write(t.Context(), []deadletter.Letter{l}), f.Close()); err != nil {
		t.Fatal(err)
	}
	if r := deadletters(t, "play", path, "-to", "-"); r.out != "{\"id\":1}\n" {
		t.Errorf("%+v", r)
	}
}

// server notes the events that it is sent.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	more   chan struct{}                                            // has a token when there is another one
	answer func(n int, w http.ResponseWriter, r *http.Request) bool // false: nothing is noted
}

func newServer(t *testing.T) *server {
	s := &server{more: make(chan struct{}, 1)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.answer == nil || s.answer(len(s.bodies), w, r) {
			s.bodies = append(s.bodies, string(body))
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

func TestPlayToURL(t *testing.T) {
	path := write(t, someLetters(), 0)
	s := newServer(t)
	busy := 0
	s.mu.Lock()
	s.answer = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		id := r.Header.Get("Dead-Letter-Id")
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer x" || r.Header.Get("X") != "y" || id == "" {
			t.Errorf("%s with %v", r.Method, r.Header)
		}
		switch {
		case r.ContentLength == 3: // the binary one
			if r.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%v", r.Header)
			}
			http.Error(w, "not this one", http.StatusUnprocessableEntity)
			return false
		case busy < 2:
			busy++
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}
		w.WriteHeader(http.StatusAccepted)
		return true
	}
	s.mu.Unlock()
	r := deadletters(t, "play", path, "-to", s.URL, "-header", "authorization: Bearer x", "-header", "X:y")
	if r.code != 1 || !strings.Contains(r.log, "letter 4 was not played: 422 Unprocessable Entity: not this one") || !strings.Contains(r.log, "played 5, refused 1") {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(s.got()); got != `[{"id":1} {"id":2} {"id":3} {"id":5} {"id":6}]` {
		t.Errorf("%s", got)
	}
	s.mu.Lock()
	s.answer = nil
	s.mu.Unlock()
	if r := deadletters(t, "play", path, "-to", s.URL); r.code != 0 || !strings.Contains(r.log, "played 1") {
		t.Errorf("%+v", r)
	}
	if got := s.got(); len(got) != 6 || got[5] != "\x00\x01\xff" {
		t.Errorf("%q", got)
	}
	s.Close()
	if r := deadletters(t, "play", path, "-to", s.URL, "-again", "-limit", "1"); r.code != 1 || !strings.Contains(r.log, "attempt 4") {
		t.Errorf("%+v", r)
	}
}

// A play that is killed at any moment goes on where it was: each event is played, and at
// most one of each killed run twice.
func TestPlayThatIsKilled(t *testing.T) {
	const n, kills = 300, 6
	var letters []deadletter.Letter
	for i := range n {
		l := deadletter.Of(i, nil)
		l.Stage = "s"
		letters = append(letters, l)
	}
	path := write(t, letters, 2000)
	s := newServer(t)
	for k := range kills {
		cmd := exec.Command(binary, "play", path, "-to", s.URL)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for limit := time.After(30 * time.Second); len(s.got()) < (k+1)*n/(kills+2); {
			select {
			case <-s.more:
			case <-limit:
				t.Fatalf("run %d: %d events were played", k, len(s.got()))
			}
		}
		if k%2 == 0 {
			_ = cmd.Process.Kill()
		} else {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		_ = cmd.Wait()
	}
	if r := deadletters(t, "play", path, "-to", s.URL); r.code != 0 {
		t.Errorf("%+v", r)
	}
	times := map[string]int{}
	for _, body := range s.got() {
		times[body]++
	}
	if len(times) != n || len(s.got()) > n+kills {
		t.Errorf("%d of %d events in %d requests", len(times), n, len(s.got()))
	}
	if r := deadletters(t, "play", path, "-to", s.URL); r.code != 0 || !strings.Contains(r.log, "played 0, 300 were played before") {
		t.Errorf("%+v", r)
	}
}

func TestTopics(t *testing.T) {
	b, err := embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{"dead": 2, "again": 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	brokers := strings.Join(b.Addrs(), ",")
	sink := stage.Must(kafka.NewDeadLetters(kafka.WriterConfig{Brokers: b.Addrs(), Topic: "dead"}))
	if err := errors.Join(sink.Write(t.Context(), someLetters()), sink.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	r := deadletters(t, "list", "-brokers", brokers, "-from", "dead")
	if r.code != 0 || strings.Count(r.out, "\n") != 7 || !strings.Contains(r.out, "pushes/0@5") {
		t.Fatalf("%+v", r)
	}
	if again := deadletters(t, "list", "-brokers", brokers, "-from", "dead"); again.out != r.out {
		t.Errorf("the numbers of letters change:\n%s\n%s", r.out, again.out)
	}
	played := filepath.Join(t.TempDir(), "played")
	args := []string{"play", "-brokers", brokers, "-from", "dead", "-topic", "again", "-played", played}
	if r := deadletters(t, append(args, "-stage", "rows")...); r.code != 0 || !strings.Contains(r.log, "played 3") {
		t.Errorf("%+v", r)
	}
	if r := deadletters(t, args...); r.code != 0 || !strings.Contains(r.log, "played 3, 3 were played before") {
		t.Errorf("%+v", r)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics("again"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := map[string]string{}
	for len(got) < 6 {
		for _, r := range client.PollFetches(t.Context()).Records() {
			got[string(r.Key)] = string(r.Value)
		}
	}
	if got["k1"] != `{"id":1}` || got["k4"] != "\x00\x01\xff" || got["k6"] != `{"id":6}` {
		t.Errorf("%q", got)
	}
	if r := deadletters(t, "list", "-brokers", brokers, "-from", "none"); r.code != 1 || !strings.Contains(r.log, `topic "none"`) {
		t.Errorf("%+v", r)
	}
}
