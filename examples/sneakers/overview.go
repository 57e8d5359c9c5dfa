package main

import (
	"net/http"

	library "github.com/penstock-go/penstock/dashboard"
)

// overview is the page of the library's dashboard; dashboard is the admin's own.
type overview = library.Dashboard

// openOverview mounts the library's dashboard behind the admin's password: the alerts on
// their way, the sockets, the topics and carts of this node.
func (a *app) openOverview(mux *http.ServeMux) error {
	d, err := library.New(library.Config{Title: "Sneakers", Logger: a.log},
		library.Stages("alerts", a.pipeline), library.Sockets("sockets", a.endpoint), library.Topics("topics", a.hub), library.Presence("carts", a.tracker))
	if err != nil {
		return err
	}
	a.overview = d
	mux.HandleFunc("/admin/dashboard/", func(w http.ResponseWriter, r *http.Request) {
		if a.gate.pass(w, r) {
			d.ServeHTTP(w, r)
		}
	})
	return nil
}
