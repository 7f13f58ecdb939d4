module github.com/understudy-go/understudy/middleware/adapters/policy

go 1.26.0

require (
	github.com/understudy-go/understudy v0.0.0
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v3 v3.0.6
)

require (
	github.com/avast/retry-go/v4 v4.7.0 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	golang.org/x/time v0.12.0 // indirect
)

replace github.com/understudy-go/understudy => ../../..
