package dashboard

import (
	"reflect"
	"strconv"
	"strings"
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
	case reflect.Int, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10)
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.String:
		return quote(b, v.String())
	}
	return encode(b, v.Interface(), limit)
}
