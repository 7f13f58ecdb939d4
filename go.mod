module github.com/understudy-go/understudy

go 1.24

require (
	github.com/avast/retry-go/v4 v4.7.0
	github.com/sony/gobreaker/v2 v2.4.0
	go.uber.org/zap v1.28.0
	golang.org/x/time v0.12.0
)

require (
	go.uber.org/goleak v1.3.0
	pgregory.net/rapid v1.3.0
)

require go.uber.org/multierr v1.10.0 // indirect
