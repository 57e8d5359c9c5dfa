package penstock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/penstock-go/penstock"

// listed is what the go command reports of a package.
type listed struct {
	ImportPath string
	ForTest    string // the package of the test; empty without one
	Standard   bool
	Module     *struct{ Path string }
	Imports    []string
}

// goList runs go list with flags and patterns.
func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,ForTest,Standard,Module,Imports"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var all []listed
	for d := json.NewDecoder(&out); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestRoomsCompileNoThirdPartyCode: a program that uses these packages compiles
// the standard library, this module and x/sync, and no client of anything.
func TestRoomsCompileNoThirdPartyCode(t *testing.T) {
	allowed := []string{module, "golang.org/x/sync"}
	for _, room := range []string{
		"stage", "stage/...", "producer", "consumer", "deadletter", "retry", "dispatcher", "dispatcher/fair", "receipt", "pubsub", "presence", "metrics",
		"pipeline", "dashboard", "trace",
	} {
		packages := goList(t, "-deps", "./"+room)
		for _, p := range packages {
			if !p.Standard && (p.Module == nil || !slices.Contains(allowed, p.Module.Path)) {
				t.Errorf("%s compiles %s", room, p.ImportPath)
			}
		}
		if len(packages) == 0 {
			t.Errorf("%s: go list knows %d packages", room, len(packages))
		}
	}
}

// TestARemoteCompilesNoServer: a program that uses a NATS server elsewhere does not
// compile one.
func TestARemoteCompilesNoServer(t *testing.T) {
	for _, p := range goList(t, "-deps", "./pubsub/nats") {
		if strings.HasPrefix(p.ImportPath, "github.com/nats-io/nats-server/") {
			t.Errorf("pubsub/nats compiles %s", p.ImportPath)
		}
	}
}

// TestExamplesImportNothingInternal: whatever an example does, its reader can
// copy. Its tests may start servers and take ports as all others do.
func TestExamplesImportNothingInternal(t *testing.T) {
	packages := goList(t, "-test", "./examples/...")
	helpers := []string{module + "/internal/kafkatest", module + "/internal/ports"}
	for _, p := range packages {
		for _, path := range p.Imports {
			if p.ForTest != "" && slices.Contains(helpers, path) {
				continue
			}
			if strings.HasPrefix(path, module+"/internal/") {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
	if len(packages) == 0 {
		t.Error("no examples")
	}
}

// TestDispatchersImportLeavesOnly: a dispatcher is a state machine that knows no stage. Of
// this module it may use the words of receipts and the policy for retries, which are leaves.
func TestDispatchersImportLeavesOnly(t *testing.T) {
	leaves := []string{module + "/dispatcher", module + "/receipt", module + "/retry"}
	for _, p := range goList(t, "./dispatcher/...", "./receipt", "./retry") {
		for _, path := range p.Imports {
			if strings.HasPrefix(path, module+"/") && !strings.HasPrefix(path, module+"/internal/") && !slices.Contains(leaves, path) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
}
