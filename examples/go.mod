module github.com/understudy-go/understudy/examples

go 1.26.0

require (
	github.com/openai/openai-go/v3 v3.99.0
	github.com/understudy-go/understudy v0.0.0
)

require go.yaml.in/yaml/v3 v3.0.6 // indirect

require (
	github.com/avast/retry-go/v4 v4.7.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	github.com/tidwall/gjson v1.20.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	github.com/understudy-go/understudy/middleware/adapters/openai v0.0.0
	github.com/understudy-go/understudy/middleware/adapters/policy v0.0.0
	golang.org/x/time v0.12.0 // indirect
)

replace github.com/understudy-go/understudy => ../

replace github.com/understudy-go/understudy/middleware/adapters/openai => ../middleware/adapters/openai

replace github.com/understudy-go/understudy/middleware/adapters/policy => ../middleware/adapters/policy
