// Package endpoint is a model provider that fails on purpose: a small HTTP server on the
// loopback interface which speaks the chat-completions protocol of OpenAI, and which goes
// wrong exactly when, and exactly how, its [Plan] says.
//
//	srv, err := endpoint.Start(endpoint.Plan{
//		Script: map[string][]endpoint.Fault{
//			"narrator": {endpoint.RateLimit(20 * time.Second), endpoint.CutAfter(3)},
//		},
//	})
//	if err != nil {
//		return err
//	}
//	defer srv.Close()
//	client := openai.NewClient(
//		option.WithBaseURL(srv.URL()),
//		option.WithAPIKey("test"),
//		option.WithMaxRetries(0), // or the SDK's own retries use up the script
//	)
//
// Here the first request for the model "narrator" gets a 429, the second a stream that is
// torn after three words (or, if it asked for no stream, a torn body), and every later one
// a good answer. Other models are healthy.
//
// # Why a server and not a fake client
//
// Recovery is decided by what a real SDK makes of a real failure: which type the error has,
// which of its fields are filled, whether a torn connection reads as an error or as the end.
// A fake hands the code under test what its author believed; this hands it bytes.
//
// # What decides a request's fate
//
// Requests are numbered per model, from 1, in the order in which they arrive. For request n
// of a model the first of these that applies decides:
//
//  1. an [Outage] of that model that covers n,
//  2. the n-th entry of its [Plan.Script],
//  3. once the script is used up, the dice: [Plan.Rate], [Plan.Kinds] and [Plan.Seed],
//  4. nothing: the request is answered.
//
// An outage hides what lies under it and never shifts it, and every model has dice of its
// own. So the fate of a request depends on the plan, the model and n, and on nothing else:
// the same plan gives the same run, also when several models are asked at once.
//
// # What keeps a run repeatable
//
// Answers, ids and timestamps are computed, never taken from a clock. Every request gets a
// connection of its own, because an HTTP client may silently repeat a request that failed on
// a reused connection, which would make the count of requests depend on luck.
package endpoint
