package prometheus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// server asks a Prometheus server; .ci/prometheus starts one that scrapes the push pipeline
// and bench/scraped.
type server struct {
	t   *testing.T
	url string
}

func theServer(t *testing.T) server {
	t.Helper()
	address := os.Getenv("PENSTOCK_PROMETHEUS")
	if address == "" {
		t.Skip("PENSTOCK_PROMETHEUS is not set; .ci/prometheus sets it")
	}
	return server{t, address}
}

// client keeps no connection, so that no goroutine is left.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// get reads the data of a response into v.
func (s server) get(path string, values url.Values, v any) error {
	response, err := client.Get(s.url + path + "?" + values.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var all struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &all); err != nil || all.Status != "success" {
		return fmt.Errorf("%s %v: %s %s: %v", path, values, response.Status, all.Error, err)
	}
	return json.Unmarshal(all.Data, v)
}

// result is what a query gives.
type result struct {
	Metric map[string]string
	Value  []any
}

func (s server) query(expr string) ([]result, error) {
	var data struct{ Result []result }
	return data.Result, s.get("/api/v1/query", url.Values{"query": {expr}}, &data)
}

// eventually repeats a check until it has no complaint, for at most a minute.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// elsewhere are the metrics that neither program can have: of others, and of servers that they do not use.
var elsewhere = regexp.MustCompile(`^(nats|redis|postgres|sneakers)\.|^kafka\.(share|transactor)\.|^metrics\.dropped$|^websocket\.(longpoll_relays|compressors_busy)$`)

// TestServerHasTheCatalogue: the server knows each metric that the programs can have, with
// its type and its help text.
func TestServerHasTheCatalogue(t *testing.T) {
	s := theServer(t)
	provoke(t)
	for _, d := range metrics.Catalogue() {
		if elsewhere.MatchString(d.Name) {
			continue
		}
		name := "penstock_" + strings.ReplaceAll(d.Name, ".", "_")
		kind := d.Kind.String()
		names := []string{name}
		switch d.Kind {
		case metrics.KindCounter:
			names = []string{name + "_total", name} // by the format that was scraped
		case metrics.KindTimer:
			kind, names = "histogram", []string{name + "_seconds"}
		}
		eventually(t, func() error {
			for _, name := range names {
				var data map[string][]struct{ Type, Help, Unit string }
				if err := s.get("/api/v1/metadata", url.Values{"metric": {name}}, &data); err != nil {
					return err
				}
				if list := data[name]; len(list) > 0 {
					if m := list[0]; m.Type != kind || !strings.Contains(m.Help, d.Name) {
						return fmt.Errorf("%s is a %s: %s", name, m.Type, m.Help)
					}
					if d.Kind == metrics.KindTimer {
						name += "_count"
					} else if d.Kind == metrics.KindCounter {
						name = names[0]
					}
					if found, err := s.query(fmt.Sprintf("count({__name__=%q})", name)); err != nil || len(found) == 0 {
						return fmt.Errorf("%s has no series: %v", name, err)
					}
					return nil
				}
			}
			return fmt.Errorf("%s is not there", d.Name)
		})
	}
}

// provoke does what the programs' own clients do not: requests that are refused.
func provoke(t *testing.T) {
	address := os.Getenv("PENSTOCK_PUSHPIPELINE")
	request, err := http.NewRequest("GET", address+"/socket/websocket?vsn=2.0.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Origin": {"https://elsewhere.example"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	for _, send := range []func() (*http.Response, error){
		func() (*http.Response, error) { return client.Do(request) },
		func() (*http.Response, error) {
			return client.Post(address+"/push", "application/json", strings.NewReader("{"))
		},
	} {
		response, err := send()
		if err != nil {
			t.Error(err)
			continue
		}
		_ = response.Body.Close()
	}
}

// TestServerHasNoUsers: labels are those of the catalogue, and no value is a user's id.
func TestServerHasNoUsers(t *testing.T) {
	s := theServer(t)
	allowed := []string{"__name__", "job", "instance", "le"}
	for _, d := range metrics.Catalogue() {
		allowed = append(allowed, d.Tags...)
	}
	var all []map[string]string
	eventually(t, func() error {
		if err := s.get("/api/v1/series", url.Values{"match[]": {`{__name__=~"penstock_.+"}`}}, &all); err != nil || len(all) < 100 {
			return fmt.Errorf("%d series: %v", len(all), err)
		}
		return nil
	})
	number := regexp.MustCompile(`^[0-9]+$`)
	for _, one := range all {
		for label, value := range one {
			if !slices.Contains(allowed, label) {
				t.Errorf("the label %s of %v", label, one)
			}
			if number.MatchString(value) && !slices.Contains([]string{"partition", "code", "le"}, label) || strings.HasPrefix(value, "user-") {
				t.Errorf("%s looks like the id of a user: %v", label, one)
			}
		}
	}
}

// TestServerSeesSeriesEnd: of the pipelines that have ended only few series are left, while
// there were many.
func TestServerSeesSeriesEnd(t *testing.T) {
	s := theServer(t)
	eventually(t, func() error {
		ever, err := s.query(`count(count by (stage) (last_over_time(penstock_pipeline_retries_total{stage=~"tenant-.*"}[5m])))`)
		if err != nil {
			return err
		}
		now, err := s.query(`count(count by (stage) (penstock_pipeline_retries_total{stage=~"tenant-.*"}))`)
		if err != nil {
			return err
		}
		if len(ever) == 0 || len(now) == 0 {
			return fmt.Errorf("no tenants")
		}
		var were, are float64
		_, _ = fmt.Sscan(fmt.Sprint(ever[0].Value[1]), &were)
		_, _ = fmt.Sscan(fmt.Sprint(now[0].Value[1]), &are)
		if were < 10 || are > were/2 {
			return fmt.Errorf("%v of %v tenants have series", are, were)
		}
		return nil
	})
}

// TestServerAnswersTheDashboard: each query of grafana.json gives data.
func TestServerAnswersTheDashboard(t *testing.T) {
	s := theServer(t)
	for _, expr := range dashboard(t) {
		expr = strings.NewReplacer("$__rate_interval", "10s", "$job", ".*", "$instance", ".*").Replace(expr)
		eventually(t, func() error {
			found, err := s.query(expr)
			if err == nil && len(found) == 0 {
				err = fmt.Errorf("no data: %s", expr)
			}
			return err
		})
	}
}

// TestServerHasTheAlerts: the rules of alerts.yml are loaded, all of each group, and none fails.
func TestServerHasTheAlerts(t *testing.T) {
	s := theServer(t)
	want := alertsByGroup(t)
	eventually(t, func() error {
		var data struct {
			Groups []struct {
				Name  string
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := s.get("/api/v1/rules", nil, &data); err != nil {
			return err
		}
		loaded := make(map[string][]string)
		for _, g := range data.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
				}
				loaded[g.Name] = append(loaded[g.Name], r.Name)
			}
		}
		for group, names := range want {
			if !slices.Equal(loaded[group], names) {
				return fmt.Errorf("the group %s has %v, want %v", group, loaded[group], names)
			}
		}
		return nil
	})
}

// alertsByGroup returns the names of the rules of alerts.yml, in their order.
func alertsByGroup(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	groups, group := make(map[string][]string), ""
	for _, found := range regexp.MustCompile(`(?m)^ *- (name|alert): (\w+)`).FindAllSubmatch(text, -1) {
		if name := string(found[2]); string(found[1]) == "name" {
			group = name
		} else {
			groups[group] = append(groups[group], name)
		}
	}
	return groups
}

// The file has one group, and all its rules are found.
func TestAlertsByGroup(t *testing.T) {
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	if groups := alertsByGroup(t); len(groups) != 1 || len(groups["penstock"]) < 8 || len(groups["penstock"]) != strings.Count(string(text), "alert: ") {
		t.Errorf("%v", groups)
	}
}

// TestServerFiresTheAlerts: each alert fires, by the quick rules, but for one that is about
// minutes by itself.
func TestServerFiresTheAlerts(t *testing.T) {
	s := theServer(t)
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, found := range regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(text, -1) {
		if name := string(found[1]); name != "PenstockLongWorkers" {
			want = append(want, name)
		}
	}
	fired := make(map[string]bool)
	eventually(t, func() error {
		var data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
		if err := s.get("/api/v1/alerts", nil, &data); err != nil {
			return err
		}
		for _, a := range data.Alerts {
			if a.State == "firing" && a.Labels["quick"] == "yes" {
				fired[a.Labels["alertname"]] = true
			}
		}
		if missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return fired[name] }); len(want) < 8 || len(missing) > 0 {
			return fmt.Errorf("of %d alerts these have not fired: %v", len(want), missing)
		}
		return nil
	})
}

// dashboard returns the queries of grafana.json.
func dashboard(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d queries", len(all))
	}
	return all
}

// The dashboard and the alerts ask for metrics of the catalogue only.
func TestFilesNameMetricsThatExist(t *testing.T) {
	alerts, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, d := range metrics.Catalogue() {
		name := "penstock_" + strings.ReplaceAll(d.Name, ".", "_")
		switch {
		case d.Kind == metrics.KindCounter:
			known[name+"_total"] = true
		case d.Kind == metrics.KindTimer:
			known[name+"_seconds_bucket"] = true
		case d.Unit == "seconds":
			known[name+"_seconds"] = true
		default:
			known[name] = true
		}
	}
	text := string(alerts) + strings.Join(dashboard(t), "\n")
	for _, name := range regexp.MustCompile(`penstock_[a-z_]+`).FindAllString(text, -1) {
		if !known[name] {
			t.Errorf("%s is no metric of the catalogue", name)
		}
	}
}

// promtool, where it is installed, has no complaint about the alerts, and their tests pass.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; .ci/prometheus installs it")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
