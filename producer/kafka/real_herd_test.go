package kafka

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/kafkatest"
)

// herd is a group whose members are processes, the records that are written for it, and what
// its members have put into their journals.
type herd struct {
	t          *testing.T
	cluster    *kafkatest.Cluster
	job        job
	dir        string
	partitions int
	users      int
	r          *rand.Rand

	written []int32 // the next number of each user
	total   int
	members []*process // also those that have ended
}

// process is a member of a herd.
type process struct {
	cmd *exec.Cmd
	job job
	log bytes.Buffer // read it after done
	// done is closed when the process has ended; err is its error then.
	done chan struct{}
	err  error
}

func newHerd(t *testing.T, cluster *kafkatest.Cluster, shape string, partitions, users int, seed uint64) *herd {
	t.Helper()
	h := &herd{
		t: t, cluster: cluster, dir: t.TempDir(), partitions: partitions, users: users,
		r: rand.New(rand.NewPCG(seed, 12)), written: make([]int32, users),
		job: job{Brokers: cluster.Addrs(), Topic: cluster.Topic(partitions), Group: cluster.Group(), Shape: shape, Session: 2 * time.Second},
	}
	t.Cleanup(func() { // of a test that has failed
		for _, m := range h.members {
			_ = m.cmd.Process.Signal(syscall.SIGCONT)
			_ = m.cmd.Process.Kill()
			<-m.done
		}
	})
	return h
}

// start starts a member.
func (h *herd) start() *process {
	h.t.Helper()
	m := &process{job: h.job, done: make(chan struct{})}
	m.job.Journal = filepath.Join(h.dir, fmt.Sprintf("journal-%d", len(h.members)))
	text, err := json.Marshal(m.job)
	if err != nil {
		h.t.Fatal(err)
	}
	m.cmd = exec.Command(os.Args[0])
	m.cmd.Env = append(os.Environ(), jobVariable+"="+string(text), "GOMAXPROCS=2")
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	if err := m.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		m.err = m.cmd.Wait()
		close(m.done)
	}()
	h.members = append(h.members, m)
	return m
}

// kill ends a member with SIGKILL.
func (m *process) kill() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

// term ends a member by a drain, and returns how long it took. It waits until the member has its
// journal, since before that a signal ends the process as it ends any other.
func (h *herd) term(m *process) time.Duration {
	h.t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute && !m.ready(); time.Sleep(5 * time.Millisecond) {
	}
	begun := time.Now()
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.done:
	case <-time.After(40 * time.Second):
		m.kill()
		h.t.Errorf("a member did not end in 40 s\n%s", tail(m.log.Bytes()))
	}
	if m.err != nil {
		h.t.Errorf("a member ended with %v\n%s", m.err, tail(m.log.Bytes()))
	}
	return time.Since(begun)
}

// ready reports whether the member heeds signals, or has ended.
func (m *process) ready() bool {
	select {
	case <-m.done:
		return true
	default:
		_, err := os.Stat(m.job.Journal)
		return err == nil
	}
}

// cpu is the processor time that a running member has used until now, 0 where the system
// does not show it.
func (m *process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// usage is the share of one processor that members use during a time.
func usage(during time.Duration, members ...*process) float64 {
	used := func() (sum time.Duration) {
		for _, m := range members {
			sum += m.cpu()
		}
		return sum
	}
	before := used()
	time.Sleep(during)
	return float64(used()-before) / float64(during) / float64(len(members))
}

// last is when a record was last handled.
func (h *herd) last() (at time.Time) {
	for _, m := range h.members {
		if err := readJournal(m.job.Journal, func(e entry) {
			if t := time.Unix(0, e.at); t.After(at) {
				at = t
			}
		}); err != nil {
			h.t.Error(err)
		}
	}
	return at
}

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

// write writes n records of random users. The records of a user are on one partition.
func (h *herd) write(n int) {
	h.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		user := h.r.IntN(h.users)
		records[i] = &kgo.Record{
			Topic: h.job.Topic, Partition: int32(user % h.partitions), Key: fmt.Appendf(nil, "user-%d", user),
			Value: fmt.Appendf(nil, "%d %d %080d", user, h.written[user], 0),
		}
		h.written[user]++
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// Its own client: one that was there while brokers were away waits before it tries again.
	client, err := kgo.NewClient(kgo.SeedBrokers(h.job.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		h.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		h.t.Errorf("%d records are not written: %v", n, err)
	}
	h.total += n
}

// pour writes n records, so many a second, on a goroutine of its own. wait waits for its end.
func (h *herd) pour(n, perSecond int) (wait func()) {
	var pouring sync.WaitGroup
	pouring.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for written := 0; written < n; {
			k := min(n-written, max(1, perSecond/20))
			h.write(k)
			written += k
			<-tick.C
		}
	})
	return pouring.Wait
}

// finish waits until all records are committed.
func (h *herd) finish(limit time.Duration) {
	h.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		committed := int64(0)
		for _, o := range h.cluster.Look(h.job.Group, h.job.Topic) {
			committed += o
		}
		if committed == int64(h.total) {
			return
		}
		if time.Now().After(deadline) {
			for i, m := range h.members {
				select {
				case <-m.done:
				default:
					h.t.Logf("member %d: %s", i, tail(m.log.Bytes()))
				}
			}
			h.t.Fatalf("after %v %d of %d records are committed", limit, committed, h.total)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// tally is what the journals show.
type tally struct {
	handled   int // deliveries
	lost      int // records that no journal has
	again     int // deliveries of records that were handled before
	disorder  int // records whose first delivery came before that of an earlier one of their user
	gap       time.Duration
	examples  []string
	byJournal []int
}

// complete fails the test for what must never be.
func (h *herd) complete(mayRepeat int) tally {
	h.t.Helper()
	sum := h.check()
	if sum.lost > 0 || sum.disorder > 0 || sum.again > mayRepeat {
		h.t.Errorf("%d lost, %d handled again of at most %d, %d out of order: %q", sum.lost, sum.again, mayRepeat, sum.disorder, sum.examples)
		for i, m := range h.members {
			h.t.Logf("member %d: %s", i, tail(m.log.Bytes()))
		}
	}
	return sum
}

// excuses are what a member logs if it gives records up that are finished, or may be: then
// they come again, however orderly its end. It takes a machine or a broker that stands still
// for longer than a timeout.
var excuses = []string{
	"any that were finished behind them are delivered again", // a quarter of RevokeTimeout
	"records were in flight when their partitions went",      // RevokeTimeout
	"last commit failed", "commit at the end of a session failed", // CommitTimeout, or the broker
	"group was not left in order",     // CloseTimeout
	doJoin + " failed; it is retried", // the session's timeout
}

// excused returns how many records may come twice in a test without kills: none, unless
// members have logged that they give records up; then the windows of their partitions each
// time. It is for members that have ended.
func (h *herd) excused() (most int) {
	h.t.Helper()
	for i, m := range h.members {
		for line := range strings.Lines(m.log.String()) {
			if slices.ContainsFunc(excuses, func(e string) bool { return strings.Contains(line, e) }) {
				h.t.Logf("member %d could not keep all: %s", i, line)
				most += cmp.Or(h.job.Window, 10_000) * h.partitions // the default
			}
		}
	}
	return most
}

// check reads all journals.
func (h *herd) check() (sum tally) {
	h.t.Helper()
	first := make([][]int64, h.users) // when each record of a user was first handled
	for u := range first {
		first[u] = make([]int64, h.written[u])
	}
	var moments []int64
	var repeats []string // examples
	for i, m := range h.members {
		n := 0
		err := readJournal(m.job.Journal, func(e entry) {
			n++
			sum.handled++
			moments = append(moments, e.at)
			// A line's place in its journal counts within one moment.
			at := &first[e.User][e.Seq]
			if *at != 0 {
				if sum.again++; sum.again <= 5 {
					repeats = append(repeats, fmt.Sprintf("partition %d, offset %d again by member %d, %v after the first time", e.Partition, e.Offset, i, time.Duration(e.at-*at)))
				}
			}
			if *at == 0 || e.at < *at {
				*at = e.at
			}
		})
		if err != nil {
			h.t.Error(err)
		}
		sum.byJournal = append(sum.byJournal, n)
	}
	for u, seqs := range first {
		last := int64(0)
		for seq, at := range seqs {
			switch {
			case at == 0:
				sum.lost++
				sum.examples = append(sum.examples, fmt.Sprintf("user %d's %d is lost", u, seq))
			case at < last:
				sum.disorder++
				sum.examples = append(sum.examples, fmt.Sprintf("user %d's %d came %v before an earlier one", u, seq, time.Duration(last-at)))
			default:
				last = at
			}
		}
	}
	slices.Sort(moments)
	for i := 1; i < len(moments); i++ {
		sum.gap = max(sum.gap, time.Duration(moments[i]-moments[i-1]))
	}
	if len(sum.examples) > 5 {
		sum.examples = sum.examples[:5]
	}
	sum.examples = append(sum.examples, repeats...)
	return sum
}
