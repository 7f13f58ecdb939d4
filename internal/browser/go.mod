module github.com/understudy-go/understudy/internal/browser

go 1.26.0

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/understudy-go/understudy v0.0.0-00010101000000-000000000000
)

require (
	github.com/avast/retry-go/v4 v4.7.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	golang.org/x/time v0.12.0 // indirect
)

replace github.com/understudy-go/understudy => ../..
