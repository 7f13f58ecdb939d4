// Package browser tests the console in a real browser: what a person sees, how soon,
// by which keys, in which colours, and that hostile text stays text. Its tests need
// Chromium, and say loudly that they were skipped where there is none.
//
//	go test . -shots /some/folder    # and keep the pictures; console.png is that of docs/images
package browser
