package stage

import "reflect"

// hasPointers reports whether a value of type T refers to other memory. The
// slices that stages use again are cleared for such types, so that a stage at
// rest keeps no handled event alive; for others clearing would only cost time.
func hasPointers[T any]() bool { return refers(reflect.TypeFor[T]()) }

func refers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() > 0 && refers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if refers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.String, reflect.UnsafePointer:
		return true
	}
	return false
}
