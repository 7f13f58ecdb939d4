package console

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// ServeHTTP serves the page and, below api/v1/, the API: see docs/console.md. What is
// before that in the path does not matter, so the console needs no StripPrefix.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	switch {
	case c == nil || c.watchers == nil:
		fail(w, http.StatusInternalServerError, errUnusable.Error())
	case c.stranger(r):
		fail(w, http.StatusMisdirectedRequest, "the console is not called by that name: add it to Hosts")
	default:
		if _, rest, ok := strings.Cut("/"+r.URL.EscapedPath(), "/api/v1/"); ok { // a prefix may be stripped, with its slash
			c.api(w, r, rest)
			return
		}
		c.page(w, r)
	}
}

// types are those of the files that the page is made of.
var types = map[string]string{
	"index.html":   "text/html; charset=utf-8",
	"console.css":  "text/css; charset=utf-8",
	"console.js":   "text/javascript; charset=utf-8",
	"draw.js":      "text/javascript; charset=utf-8",
	"views.js":     "text/javascript; charset=utf-8",
	"questions.js": "text/javascript; charset=utf-8",
	"fleet.js":     "text/javascript; charset=utf-8",
	"icon.svg":     "image/svg+xml",
}

// page serves the page and its files. They hold nothing that is secret, so nobody is
// asked who they are.
func (c *Console) page(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "the page is read by GET")
		return
	}
	name := "index.html"
	if !strings.HasSuffix(r.URL.Path, "/") {
		name = path.Base(r.URL.Path)
		if r.URL.Path == "" { // all of it was stripped: the page's links need the slash
			asked, _, _ := strings.Cut(r.RequestURI, "?")
			http.Redirect(w, r, path.Base(asked)+"/", http.StatusMovedPermanently)
			return
		}
	}
	kind, ok := types[name]
	if !ok {
		fail(w, http.StatusNotFound, "there is no such page")
		return
	}
	text, err := fs.ReadFile(assets, "assets/"+name)
	if err != nil {
		fail(w, http.StatusNotFound, "there is no such page")
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Method == http.MethodGet {
		_, _ = w.Write(text)
	}
}

// answer writes a value.
func answer(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// fail says why a request was refused.
func fail(w http.ResponseWriter, status int, problem string) {
	answer(w, status, map[string]string{"error": problem})
}

const mostBody = 64 << 10

// read reads the one value that a request's body is.
func read(w http.ResponseWriter, r *http.Request, into any) (status int, problem string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		return http.StatusRequestEntityTooLarge, "the body cannot be read, or is larger than 64 KiB"
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return http.StatusBadRequest, "the body is not what is expected: " + clip(err.Error(), textWidth)
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // it is never wrapped
		return http.StatusBadRequest, "the body is more than one value"
	}
	return 0, ""
}
