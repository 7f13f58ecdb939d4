module github.com/understudy-go/understudy/internal/providers/older

go 1.26.0

require (
	github.com/anthropics/anthropic-sdk-go v1.4.0
	github.com/openai/openai-go v0.1.0-beta.10
	github.com/understudy-go/understudy v0.0.0
)

require (
	github.com/avast/retry-go/v4 v4.7.0 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	github.com/tidwall/gjson v1.14.4 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	golang.org/x/time v0.12.0 // indirect
)

replace github.com/understudy-go/understudy => ../../..
