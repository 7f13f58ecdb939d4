module github.com/understudy-go/understudy/middleware/adapters/jsonschema

go 1.26.0

require (
	github.com/google/jsonschema-go v0.4.3
	github.com/understudy-go/understudy v0.0.0
)

require (
	github.com/avast/retry-go/v4 v4.7.0 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	golang.org/x/time v0.12.0 // indirect
)

replace github.com/understudy-go/understudy => ../../..
