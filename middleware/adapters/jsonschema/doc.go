// Package jsonschema checks that an answer is JSON of the shape that was asked for, and
// that the arguments of a tool call are. It is built on
// github.com/google/jsonschema-go.
//
//	booking, err := middleware.Wrap(openai.Chat(client)).
//		Check(openai.Answer, jsonschema.For[Booking]()). // the shape of a Go type
//		Retry(strategies.Retry{}).
//		RetryVia(openai.Told). // the next attempt is told what was wrong
//		Build()
//
// The answer must be one JSON value and nothing else: text around it, and a code fence,
// are refused, for whoever reads it next would stumble over them. An answer of tool
// calls alone is no answer yet, and passes.
//
// A schema is read once, when the check is made. One that makes no sense is an error of
// Build. A check is safe for concurrent use. A small answer costs about ten
// microseconds: it is read into an any, and each value is looked at once.
//
// What it says of a wrong answer names the place and the rule that was broken, in words
// for the model; of the values it repeats what the library does, so that the text of an
// error may hold a piece of the answer.
package jsonschema
