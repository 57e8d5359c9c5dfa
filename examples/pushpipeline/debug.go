package main

import (
	"context"
	"encoding/json"
	"expvar"
	"net/http"
	"net/http/pprof"
	"time"
)

// debugRoutes are what only operators on this machine reach.
func (a *app) debugRoutes(overview http.Handler) (http.Handler, error) {
	mux := http.NewServeMux()
	// Registered by hand: the import also puts them on http.DefaultServeMux, which
	// this program does not serve. There is no command line, which may hold a secret
	// that was meant for a file.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/vars", vars)
	mux.HandleFunc("GET /debug/stages", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		answer(w, http.StatusOK, a.stages(ctx))
	})
	mux.Handle("GET /metrics", a.scrapes)
	mux.HandleFunc("POST /debug/revoke", a.revokeTokens)
	mux.Handle("/dashboard/", overview)
	config := a.cfg
	config.Hosts = "" // names of this machine only
	return config.checked(sameSite(mux), nil, a.debugListener.Addr().String())
}

// vars writes the variables of package expvar without the command line.
func vars(w http.ResponseWriter, _ *http.Request) {
	all := map[string]json.RawMessage{}
	expvar.Do(func(v expvar.KeyValue) {
		if v.Key != "cmdline" {
			all[v.Key] = json.RawMessage(v.Value.String())
		}
	})
	answer(w, http.StatusOK, all)
}
