package tracing

import (
	"reflect"
	"sync"

	"github.com/penstock-go/penstock/trace"
)

// sliceReaders has, by slice type []T, functions of type func() func(*[]T) trace.Context.
var sliceReaders sync.Map

// ReadSlices makes slices of T carriers for the whole program, if T is one: [NewCarriers] of
// []T then reads the first sampled context of the events in a slice. Nothing else can make them
// so, since a stage that passes on slices does not know the type of their events. It is called
// before the stages start that pass such slices on; pipeline.Batch does so.
func ReadSlices[T any]() {
	if NewCarriers[T]() == nil {
		return
	}
	sliceReaders.LoadOrStore(reflect.TypeFor[[]T](), func() func(*[]T) trace.Context {
		of := NewCarriers[T]()
		return func(events *[]T) trace.Context {
			if i := of.Next(*events, 0); i >= 0 {
				return of.Context(&(*events)[i])
			}
			return trace.Context{}
		}
	})
}

// sliceReader returns the function that reads slices of type T, or nil.
func sliceReader[T any]() func(*T) trace.Context {
	if newReader, ok := sliceReaders.Load(reflect.TypeFor[T]()); ok {
		return newReader.(func() func(*T) trace.Context)()
	}
	return nil
}
