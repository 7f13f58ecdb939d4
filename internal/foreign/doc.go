// Package foreign reads what an error of somebody else's says of itself: the HTTP
// status, the provider's code, the gRPC status, how long to wait, the text for
// people. These are facts. What they mean is judged in package strategies, which
// is the only one that asks, and nothing here knows a class.
//
// # Why by shape
//
// The SDKs of twenty-odd providers, and of the frameworks above them, have error
// types of their own. To import them all would make every program carry them
// all. But their errors are alike: a field StatusCode, Code or Type, a
// Response with headers, a method GRPCStatus, a JSON body in one of few forms.
// So [Read] looks for those, by name, with reflection, and on the failure path
// only. It costs a few microseconds.
//
// # Where each fact is looked for
//
//	Status  fields StatusCode, HTTPStatusCode, HTTPCode, Status; Response; methods StatusCode, HTTPStatusCode; a code that is a number
//	Code    fields Code, ErrorCode; method ErrorCode, also of the error below (AWS); JSON; google.rpc.ErrorInfo
//	Kind    field or method Type; JSON
//	RPC     method GRPCStatus; field Status; JSON
//	Text    fields Message, ErrorMessage; JSON; the gRPC message; with a failing status, the error's own text
//	Wait    headers Retry-After-Ms and Retry-After; field or method RetryAfter; google.rpc.RetryInfo
//	Daily   google.rpc.QuotaFailure whose quota is "PerDay"
//	Late    method Timeout
//
// What is found first stays: the better source is asked first.
//
// # Strangers' values are not trusted
//
// A value may be half empty, a typed nil, or made to hurt. Everything is read
// under recover, part by part: a method that panics says nothing, and what the
// other parts say still counts. Text, codes, bodies and details are bounded, and
// so is the wait. An embedded nil pointer and a value that holds itself are
// looked into no further. No error is unwrapped here, save for the one level
// below an AWS status; walking the tree is the business of whoever asks.
package foreign
