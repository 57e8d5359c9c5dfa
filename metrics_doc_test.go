package penstock_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/metrics"
)

// TestMetricsAreDocumented compares the catalogue in Go with docs/metrics.md, in full,
// and with the instruments that the code makes: name, kind, tags and package. Both in
// both directions.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| (counter|gauge|timer) \\| ([^|]+) \\|([^|]*)\\| `([a-z_./]+)` \\| ([^|]+) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		tags := regexp.MustCompile("`([a-z_]+)`").FindAllString(m[4], -1)
		for i := range tags {
			tags[i] = strings.Trim(tags[i], "`")
		}
		slices.Sort(tags)
		line := instrument{name: m[1], kind: m[2], tags: strings.Join(tags, " "), dir: m[5]}.String() + ": " + m[3] + ", " + strings.ReplaceAll(m[6], "`", "")
		if documented[line] {
			t.Errorf("listed twice: %s", line)
		}
		documented[line] = true
	}
	described, listed := make(map[string]bool), make(map[string]bool)
	for _, d := range metrics.Catalogue() {
		i := instrument{name: d.Name, kind: d.Kind.String(), tags: strings.Join(d.Tags, " "), dir: d.Package}.String()
		listed[i] = true
		described[i+": "+d.Unit+", "+d.Help] = true
	}
	found := make(map[string]bool)
	for _, i := range instruments(t) {
		found[i.String()] = true
	}
	if len(found) < 20 {
		t.Fatalf("only %d instruments were found: the test does not look in the right places", len(found))
	}
	same(t, described, documented, "in metrics.Catalogue and not as such in docs/metrics.md", "in docs/metrics.md and not as such in metrics.Catalogue")
	same(t, found, listed, "recorded, and not in metrics.Catalogue", "in metrics.Catalogue, but recorded nowhere")
}

// same reports what only one of two sets has.
func same(t *testing.T, a, b map[string]bool, onlyA, onlyB string) {
	t.Helper()
	for _, line := range slices.Sorted(maps.Keys(a)) {
		if !b[line] {
			t.Errorf("%s: %s", onlyA, line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(b)) {
		if !a[line] {
			t.Errorf("%s: %s", onlyB, line)
		}
	}
}

// instrument is a call of a Recorder's method.
type instrument struct{ name, kind, tags, dir string }

func (i instrument) String() string {
	return fmt.Sprintf("%s %s [%s] in %s", i.name, i.kind, i.tags, i.dir)
}

// instruments returns the instruments that the module's packages make.
func instruments(t *testing.T) (all []instrument) {
	t.Helper()
	packages := make(map[string]*metricSource)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			// The recorders themselves, and programs that are no part of the library.
			if slices.Contains([]string{"internal", "bench", "metricstest", "testdata", ".git", "node_modules"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if packages[dir] == nil {
			packages[dir] = &metricSource{dir: dir, values: make(map[string]ast.Expr), calls: make(map[string][]*ast.CallExpr)}
		}
		packages[dir].add(file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if p.dir != "metrics" {
			all = append(all, p.instruments(t)...)
		}
	}
	return all
}

// metricSource is a package, as far as it has to do with metrics.
type metricSource struct {
	dir    string
	files  []*ast.File
	values map[string]ast.Expr        // of constants, variables and fields, by name
	calls  map[string][]*ast.CallExpr // of functions and methods, by name
}

func (p *metricSource) add(file *ast.File) {
	p.files = append(p.files, file)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) {
					p.values[name.Name] = n.Values[i]
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if name, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE && i < len(n.Rhs) {
					p.values[name.Name] = n.Rhs[i]
				}
			}
		case *ast.KeyValueExpr:
			if name, ok := n.Key.(*ast.Ident); ok && p.values[name.Name] == nil {
				p.values[name.Name] = n.Value
			}
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				p.calls[f.Name] = append(p.calls[f.Name], n)
			case *ast.SelectorExpr:
				p.calls[f.Sel.Name] = append(p.calls[f.Sel.Name], n)
			}
		}
		return true
	})
}

// instruments looks at each function of the package, with the arguments that its
// parameters may have.
func (p *metricSource) instruments(t *testing.T) (all []instrument) {
	for _, file := range p.files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				kind := map[string]string{"Counter": "counter", "Gauge": "gauge", "Timer": "timer", "Inc": "counter"}[method.Sel.Name]
				_, literal := call.Args[0].(*ast.BasicLit)
				if kind == "" || strings.HasPrefix(p.dir, "metrics/") && !literal {
					return true // a recorder passes on what it was given
				}
				for _, args := range p.arguments(f) {
					if i, ok := p.instrument(call, kind, args); ok {
						all = append(all, i)
					} else {
						t.Errorf("%s, %s: the name or a tag of a %s cannot be found out", p.dir, f.Name.Name, kind)
					}
				}
				return true
			})
		}
	}
	return all
}

// arguments returns, for each call of f in its package, the arguments by name of
// the parameter; one empty set if f is not called there.
func (p *metricSource) arguments(f *ast.FuncDecl) (all []map[string]ast.Expr) {
	var names []string
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	for _, call := range p.calls[f.Name.Name] {
		if len(call.Args) != len(names) {
			continue
		}
		args := make(map[string]ast.Expr)
		for i, name := range names {
			args[name] = call.Args[i]
		}
		all = append(all, args)
	}
	if all == nil {
		all = append(all, nil)
	}
	return all
}

func (p *metricSource) instrument(call *ast.CallExpr, kind string, args map[string]ast.Expr) (instrument, bool) {
	name, ok := p.text(call.Args[0], args)
	if !ok {
		return instrument{}, false
	}
	var tags []string
	if method := call.Fun.(*ast.SelectorExpr).Sel.Name; method != "Inc" {
		for _, arg := range call.Args[1:] {
			key, ok := p.tag(arg, args, 0)
			if !ok {
				return instrument{}, false
			}
			tags = append(tags, key)
		}
	}
	slices.Sort(tags)
	return instrument{name: name, kind: kind, tags: strings.Join(tags, " "), dir: p.dir}, true
}

// text returns the value of an expression that is a string.
func (p *metricSource) text(e ast.Expr, args map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		if arg := args[e.Name]; arg != nil {
			return p.text(arg, nil)
		}
		if value, ok := p.values[e.Name].(*ast.BasicLit); ok {
			return p.text(value, nil)
		}
	}
	return "", false
}

// tag returns the key of an expression that is a tag: a literal, a call of a
// function that makes one, or a variable or field that holds one.
func (p *metricSource) tag(e ast.Expr, args map[string]ast.Expr, depth int) (string, bool) {
	if depth > 4 {
		return "", false
	}
	switch e := e.(type) {
	case *ast.CompositeLit:
		for _, element := range e.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if name, ok := pair.Key.(*ast.Ident); ok && name.Name == "Key" {
					return p.text(pair.Value, args)
				}
				continue
			}
			return p.text(element, args)
		}
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			return p.text(e.Args[0], args)
		}
	case *ast.Ident:
		if value := p.values[e.Name]; value != nil {
			return p.tag(value, args, depth+1)
		}
	case *ast.SelectorExpr:
		return p.tag(e.Sel, args, depth+1)
	}
	return "", false
}
