package dashboard

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// plan is how structs of one type become rows of a table: without the cost of
// json.Marshal, which a thousand stages a second would show.
type plan struct {
	fields []planField
}

// planField is a field with a name in JSON.
type planField struct {
	name      string
	label     string // as the text before a value: "name":
	index     int
	omitEmpty bool
}

// planOf returns the plan for the fields of type T, without those that are named.
func planOf[T any](without ...string) plan {
	var p plan
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		skip := name == "" || name == "-"
		for _, w := range without {
			skip = skip || name == w
		}
		if !skip {
			p.fields = append(p.fields, planField{name, `"` + name + `":`, i, strings.Contains(options, "omitempty")})
		}
	}
	return p
}

// value appends one field of v as JSON, and nothing for one that is left out.
func (f *planField) value(b []byte, v reflect.Value, limit int) []byte {
	v = v.Field(f.index)
	if f.omitEmpty && (v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0) {
		return b
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10)
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.String:
		return quote(b, v.String())
	case reflect.Slice:
		if list, ok := reflect.TypeAssert[[]string](v); ok && list != nil {
			return quoteAll(b, list, limit)
		}
	}
	x := v.Interface()
	if v.Kind() == reflect.Interface {
		if v = v.Elem(); v.IsValid() && v.Kind() == reflect.Struct {
			if b, ok := flatPlan(v.Type()).flat(b, v); ok {
				return b
			}
		}
	}
	return encode(b, x, limit)
}

// quoteAll appends a list of strings, at most limit.
func quoteAll(b []byte, list []string, limit int) []byte {
	b = append(b, '[')
	start := len(b)
	for _, s := range list[:min(len(list), limit)] {
		b = quote(comma(b, start), s)
	}
	return append(b, ']')
}

// flats are the plans of the types that handlers and dispatchers report, by type: a *plan, nil
// for one that json.Marshal is needed for.
var flats sync.Map

// flatPlan returns the plan for the values of a struct type, nil if they have another form
// in JSON than that of their fields.
func flatPlan(t reflect.Type) *plan {
	if p, ok := flats.Load(t); ok {
		return p.(*plan)
	}
	p := newFlatPlan(t)
	flats.Store(t, p)
	return p
}

func newFlatPlan(t reflect.Type) *plan {
	p := new(plan)
	if ownForm(t) {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		omit := options == "omitempty"
		switch {
		case f.Anonymous:
			return nil
		case !f.IsExported() || f.Tag.Get("json") == "-":
			continue
		case name == "" || options != "" && !omit || ownForm(f.Type) || !isScalar(f.Type.Kind()) && (!omit || !mayBeEmpty(f.Type.Kind())):
			return nil
		}
		p.fields = append(p.fields, planField{name, `"` + name + `":`, i, omit})
	}
	return p
}

// ownForm reports whether a type makes its JSON itself.
func ownForm(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

func isScalar(k reflect.Kind) bool {
	return k == reflect.Bool || k == reflect.String || k >= reflect.Int && k <= reflect.Uint64
}

// mayBeEmpty reports whether omitempty leaves out the zero value of a kind that is no scalar.
func mayBeEmpty(k reflect.Kind) bool {
	return k == reflect.Slice || k == reflect.Map || k == reflect.Pointer || k == reflect.Interface
}

// flat appends v as an object. It returns false if p is nil or v has something in a field that is
// no scalar.
func (p *plan) flat(b []byte, v reflect.Value) ([]byte, bool) {
	if p == nil {
		return b, false
	}
	start := len(b)
	b = append(b, '{')
	for i := range p.fields {
		f := &p.fields[i]
		x := v.Field(f.index)
		if f.omitEmpty && x.IsZero() {
			continue
		}
		if !isScalar(x.Kind()) {
			return b[:start], false
		}
		b = append(comma(b, start+1), f.label...)
		b = f.value(b, v, 0)
	}
	return append(b, '}'), true
}
