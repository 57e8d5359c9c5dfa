package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-go/penstock/deadletter"
)

// options are the command line after the command's name.
type options struct {
	file    string // "" if a topic is read
	number  int    // of the only letter that counts; 0: all
	stage   string
	text    string // part of the error
	since   time.Time
	json    bool
	brokers []string
	from    string // the topic that is read

	// Of play.
	to      string // a URL, or "-"
	topic   string
	header  http.Header
	rate    float64 // a second; 0: no bound
	limit   int     // 0: no bound
	dryRun  bool
	again   bool
	played  string // where it is remembered what was played
	timeout time.Duration
}

// parse reads the arguments of a command. Options may come before and after the others.
func (o *options) parse(command string, args []string, out, log io.Writer) error {
	o.header = http.Header{}
	f := flag.NewFlagSet("deadletters "+command, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	var brokers string
	f.StringVar(&brokers, "brokers", "", "`host:port,...` of the Kafka cluster of -from and -topic")
	f.StringVar(&o.from, "from", "", "read this Kafka `topic` of dead letters instead of a file")
	if command != "show" {
		f.StringVar(&o.stage, "stage", "", "only letters of the stage with this `name`")
		f.StringVar(&o.text, "error", "", "only letters whose error has this `text` in it")
		f.Func("since", "only letters that failed since then: an `age` such as 2h, or a time as in 2026-01-02T15:04:05Z", o.setSince)
	}
	if command != "play" {
		f.BoolVar(&o.json, "json", false, "print JSON, one line each")
	} else {
		f.IntVar(&o.number, "number", 0, "only the letter with this `number` in the table of list")
		f.StringVar(&o.to, "to", "", "POST events to this `URL`, or print them if it is -")
		f.StringVar(&o.topic, "topic", "", "write events to this Kafka `topic`")
		f.Func("header", "`name: value` to send with each POST; may be repeated", o.addHeader)
		f.Float64Var(&o.rate, "rate", 0, "play at most this `number` of events a second (0: as fast as possible)")
		f.IntVar(&o.limit, "limit", 0, "play at most this `number` of events (0: all)")
		f.BoolVar(&o.dryRun, "dry-run", false, "only list what would be played")
		f.BoolVar(&o.again, "again", false, "also play what was played before")
		f.StringVar(&o.played, "played", "", "`file` that remembers what was played (default FILE.played or TOPIC.played)")
		f.DurationVar(&o.timeout, "timeout", 30*time.Second, "bounds one POST or write")
	}
	var others []string
	for len(args) > 0 {
		if err := f.Parse(args); err == flag.ErrHelp {
			fmt.Fprintf(out, "Options of deadletters %s:\n", command)
			f.SetOutput(out)
			f.PrintDefaults()
			return err
		} else if err != nil {
			return wrong("%v", err)
		}
		if args = f.Args(); len(args) > 0 {
			others, args = append(others, args[0]), args[1:]
		}
	}
	if brokers != "" {
		o.brokers = strings.Split(brokers, ",")
	}
	return o.check(command, others)
}

// check assigns the arguments that are no options, and refuses what does not fit.
func (o *options) check(command string, others []string) error {
	if o.from == "" {
		if len(others) == 0 {
			return wrong("which file? Or -brokers and -from for a topic")
		}
		o.file, others = others[0], others[1:]
	}
	if command == "show" {
		if len(others) == 0 {
			return wrong("which letter? Its number is in the first column of list")
		}
		n, err := strconv.Atoi(others[0])
		if err != nil || n < 1 {
			return wrong("%q is not the number of a letter", others[0])
		}
		o.number, others = n, others[1:]
	}
	switch {
	case len(others) > 0:
		return wrong("what is %q?", others[0])
	case (o.from != "" || o.topic != "") && len(o.brokers) == 0:
		return wrong("-from and -topic need -brokers")
	case command != "play":
		return nil
	case (o.to == "") == (o.topic == ""):
		return wrong("where to? Use either -to or -topic")
	case o.from != "" && o.from == o.topic:
		return wrong("-from and -topic are the same topic")
	case !(o.rate >= 0) || o.limit < 0 || o.number < 0 || o.timeout <= 0:
		return wrong("-rate, -limit and -number are 0 or more, -timeout is above 0")
	}
	if u, err := url.Parse(o.to); o.to != "" && o.to != "-" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return wrong("-to is neither http://..., https://... nor -")
	}
	if o.played == "" {
		o.played = o.file + o.from + ".played" // one of them is empty
	}
	return nil
}

func (o *options) setSince(value string) error {
	if age, err := time.ParseDuration(value); err == nil {
		o.since = time.Now().Add(-age)
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, value, time.Local); err == nil {
			o.since = at
			return nil
		}
	}
	return fmt.Errorf("neither an age such as 2h nor a time such as 2026-01-02T15:04:05Z")
}

func (o *options) addHeader(value string) error {
	name, content, ok := strings.Cut(value, ":")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return fmt.Errorf("not name: value")
	}
	o.header.Add(name, strings.TrimSpace(content))
	return nil
}

// wants reports whether the letter with the number n is one of those that were asked for.
func (o *options) wants(n int, l *deadletter.Letter) bool {
	return (o.number == 0 || n == o.number) && (o.stage == "" || l.Stage == o.stage) &&
		strings.Contains(l.Error, o.text) && !l.Last.Before(o.since)
}
