package main

import (
	"embed"
	"net/http"
	"strings"
)

//go:embed web
var web embed.FS

// staticFiles serves pictures, style and scripts.
func staticFiles() http.Handler {
	files := http.FileServerFS(web)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r) // no lists of files
			return
		}
		protect(w, r)
		w.Header().Set("Cache-Control", "max-age=300")
		r.URL.Path = "/web" + r.URL.Path
		files.ServeHTTP(w, r)
	})
}

// protect sets the headers of everything that is served: a page loads and talks to nothing
// but this program. The host was checked; browsers differ in whether 'self' includes
// WebSockets.
func protect(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self' ws://"+r.Host+" wss://"+r.Host+"; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
}
