module github.com/understudy-go/understudy/middleware/adapters/cache

go 1.26.0

require github.com/understudy-go/understudy v0.0.0

require golang.org/x/time v0.12.0 // indirect

require (
	github.com/avast/retry-go/v4 v4.7.0 // indirect
	github.com/maypok86/otter/v2 v2.4.0
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
)

replace github.com/understudy-go/understudy => ../../..
