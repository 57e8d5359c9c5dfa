package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// overview is what a test reads of the dashboard's state.
type overview struct {
	Control bool
	Parts   []struct {
		Kind, Name string
		Data       struct {
			// Of stages.
			Stages []struct {
				Name       string
				Handler    struct{ Partitions []struct{ Topic string } }
				Dispatcher struct {
					Held   int
					Oldest int64 `json:"oldest_ns"`
				}
			}
			Steps []struct {
				Name    string
				Paused  bool
				Actions []string
				Workers int
			}
			// Of sockets and nodes.
			Connections int
			Node        string
			Nodes       []string
		}
	}
}

// dashboardURL is an address of a page.
func (r running) dashboardURL(path string) string {
	return "http://" + r.debugListener.Addr().String() + "/dashboard/" + path
}

// overview reads the state.
func (r running) overview(t *testing.T) (o overview) {
	t.Helper()
	status, body := request(t, http.MethodGet, r.dashboardURL("state"), "")
	if err := json.Unmarshal([]byte(body), &o); err != nil || status != http.StatusOK {
		t.Fatal(status, err, body)
	}
	return o
}

// request makes a request with a body of JSON.
func request(t *testing.T, method, url, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

// TestDashboard: the page and the state are on the debug address alone, and nothing can be
// controlled.
func TestDashboard(t *testing.T) {
	r := start(t, "-debug-addr", "127.0.0.1:0")
	if status, body := request(t, "GET", r.dashboardURL(""), ""); status != http.StatusOK || !strings.Contains(body, "<html") {
		t.Error(status, body)
	}
	status, body := request(t, "GET", r.dashboardURL("state"), "")
	for _, want := range []string{`"title":"pushpipeline"`, `"control":false`, `"kind":"stages","name":"pushes"`, `"name":"memory"`, `"kind":"sockets"`, `"connections":`} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d: no %s in %s", status, want, body)
		}
	}
	if status, _ := request(t, "GET", r.url("/dashboard/"), ""); status != http.StatusNotFound {
		t.Errorf("on the public address: %d", status)
	}
	for _, action := range []string{"pause", "resize"} {
		body := `{"part":"0","step":"sockets","action":"` + action + `","value":1}`
		if status, text := request(t, "POST", r.dashboardURL("control"), body); status != http.StatusForbidden {
			t.Error(body, status, text)
		}
	}
}

// TestDashboardControls: with permission the page pauses the delivery of pushes, and sets a
// rate for each user.
func TestDashboardControls(t *testing.T) {
	r := start(t, "-debug-addr", "127.0.0.1:0", "-dashboard-control", "-grace", "30s", "-drain", "100ms")
	user := r.join("1")
	do := func(step, action, value string) {
		t.Helper()
		body := `{"part":"0","step":"` + step + `","action":"` + action + `","value":` + value + `}`
		if status, text := request(t, "POST", r.dashboardURL("control"), body); status != http.StatusNoContent {
			t.Fatal(body, status, text)
		}
	}
	next := func(n int) {
		t.Helper()
		if got, err := user.next(within(t, patience)); err != nil || got.Data.N != n {
			t.Fatalf("push %d: %+v, %v", n, got, err)
		}
	}
	do("sockets", "pause", "0")
	const count = 50
	for n := range count {
		r.push("1", n)
	}
	// What was asked for before the pause still comes, at most as many pushes as -workers.
	eventually(t, patience, "paused", func() bool {
		o := r.overview(t)
		all := o.Parts[0].Data
		return o.Control && len(all.Steps) == 2 && len(all.Stages) == 2 && all.Steps[0].Paused && all.Stages[0].Dispatcher.Held >= count-r.cfg.Workers
	})
	do("sockets", "resume", "0")
	for n := range count {
		next(n)
	}
	do("memory", "rate", "1e-3") // one push, and then none for a quarter of an hour
	for n := range 3 {
		r.push("1", count+n)
	}
	next(count)
	eventually(t, patience, "held back", func() bool {
		all := r.overview(t).Parts[0].Data.Stages
		return len(all) == 2 && all[0].Dispatcher.Held == 2
	})
	user.conn.CloseNow()
}

// TestDashboardResizes: with permission the page changes how many pushes are worked on at once.
func TestDashboardResizes(t *testing.T) {
	// No push ends by itself, so that as many are at work as may be.
	r := start(t, "-debug-addr", "127.0.0.1:0", "-dashboard-control", "-workers", "2", "-work", "1m", "-drain", "100ms")
	users := []string{"1", "2", "3", "4", "5", "6", "7"}
	for _, user := range users {
		r.push(user, 0)
	}
	shows := func(workers int) {
		t.Helper()
		eventually(t, patience, "as many at work as there are workers", func() bool {
			all := r.overview(t).Parts[0].Data
			return len(all.Steps) == 2 && all.Steps[0].Workers == workers && r.workers[0].atWork.Load() == int64(workers) &&
				len(all.Stages) == 2 && all.Stages[0].Dispatcher.Held == len(users)-workers
		})
	}
	resize := func(workers string, want int) string {
		t.Helper()
		status, text := request(t, "POST", r.dashboardURL("control"), `{"part":"0","step":"sockets","action":"resize","value":`+workers+`}`)
		if status != want {
			t.Error(workers, status, text)
		}
		return text
	}
	shows(2)
	resize("5", http.StatusNoContent)
	shows(5)
	if text := resize("100001", http.StatusConflict); !strings.Contains(text, "100000 at most") {
		t.Error(text)
	}
	resize("0", http.StatusBadRequest)
	shows(5)
}

// TestDashboardOfACluster: real partitions, sockets and three nodes are on the page.
func TestDashboardOfACluster(t *testing.T) {
	a := start(t, "-cluster", "embedded", "-cluster-listen", "127.0.0.1:0", "-node", "a", "-debug-addr", "127.0.0.1:0", "-source", "kafka", "-partitions", "4", "-retention-mib", "64")
	for _, node := range []string{"b", "c"} {
		start(t, "-cluster", "embedded", "-join", a.cluster.server.ClusterAddr(), "-node", node)
	}
	here := a.join("1")
	var o overview
	eventually(t, patience, "three nodes and four partitions", func() bool {
		o = a.overview(t)
		for _, p := range o.Parts {
			if p.Kind == "nodes" {
				return len(o.Parts[0].Data.Stages) > 0 && len(p.Data.Nodes) == 2 && p.Data.Node == "a" && len(o.Parts[0].Data.Stages[0].Handler.Partitions) == 4
			}
		}
		return false
	})
	if o.Parts[1].Kind != "sockets" || o.Parts[1].Data.Connections != 1 {
		t.Errorf("%+v", o.Parts[1])
	}
	here.conn.CloseNow()
}

// TestPauseAndResumeAtOnce: what the page shows is what the subscriptions do, although two
// pages pause and resume at the same moment.
func TestPauseAndResumeAtOnce(t *testing.T) {
	r := start(t)
	// The same one many times over, so that the two meet.
	c := controls{subs: slices.Repeat(r.controls.subs, 5000)}
	for range 20 {
		var pages sync.WaitGroup
		for i := range 8 {
			pages.Go(func() { c.pause(i%2 == 0) })
		}
		pages.Wait()
		for _, e := range r.pipeline.Snapshot(t.Context()).Edges {
			if e.Paused != c.paused.Load() {
				t.Fatalf("paused: %v, and on the page %v", e.Paused, c.paused.Load())
			}
		}
	}
	c.pause(false)
}
