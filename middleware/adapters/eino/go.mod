module github.com/understudy-go/understudy/middleware/adapters/eino

go 1.26.0

require (
	github.com/cloudwego/eino v0.9.17
	github.com/cloudwego/eino-ext/components/model/openai v0.1.7
	github.com/understudy-go/understudy v0.0.0
)

replace github.com/understudy-go/understudy => ../../..
