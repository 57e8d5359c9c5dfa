package dashboard_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// A program mounts its dashboard below any path. Here requests of administrators may
// control the pipeline; the function would look at a session.
func ExampleNew() {
	p := pipeline.New(pipeline.Config{Name: "orders"})
	orders := stage.ProducerFunc[int](func(context.Context, int, *stage.Emitter[int]) error { return stage.ErrDone })
	in := pipeline.From(p, orders, pipeline.SourceConfig[int]{Name: "orders"})
	pipeline.Each(in, func(context.Context, int) error { return nil }, pipeline.StepConfig[int]{Name: "book"})

	d, err := dashboard.New(dashboard.Config{
		Title: "Orders",
		Allow: func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer admin" },
	}, dashboard.Pipeline(p))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/dashboard/", d)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/dashboard/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	if err := d.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: 200 text/html; charset=utf-8
}
