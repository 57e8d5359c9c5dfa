package dashboard

import (
	"embed"
	"encoding/json"
	"mime"
	"net/http"
	"path"
)

//go:embed web
var web embed.FS

// secure sets what all responses have: nothing of the page is loaded from elsewhere, runs
// inline, is shown in a frame or is kept.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// servePage serves one of the static files.
func servePage(w http.ResponseWriter, r *http.Request, name string) {
	text, err := web.ReadFile("web/" + name)
	if err != nil {
		fail(w, http.StatusNotFound, "there is nothing here")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", http.MethodGet)
		fail(w, http.StatusMethodNotAllowed, "the method is not allowed")
		return
	}
	w.Header().Set("Content-Type", typeOf(name))
	_, _ = w.Write(text)
}

// typeOf returns the content type of a file, which must not depend on what is installed.
func typeOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

// fail replies with an error as JSON.
func fail(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}

// reply replies with v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}
