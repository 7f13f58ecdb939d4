// Package endpointtest is the tests of [endpoint], the provider that fails on purpose. They
// live here and not beside it because they look at it through the official client, which is
// no dependency of the root module.
//
// [endpoint]: https://pkg.go.dev/github.com/understudy-go/understudy/internal/endpoint
package endpointtest
