module github.com/understudy-go/understudy/examples

go 1.26.0

require (
	github.com/openai/openai-go/v3 v3.96.0
	github.com/understudy-go/understudy v0.0.0-00010101000000-000000000000
)

require (
	github.com/avast/retry-go/v4 v4.7.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	github.com/tidwall/gjson v1.20.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	golang.org/x/time v0.12.0 // indirect
)

replace github.com/understudy-go/understudy => ../
