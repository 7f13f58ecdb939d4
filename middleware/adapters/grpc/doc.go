// Package grpc puts the layers around the calls of a gRPC client: all unary ones
// of a connection by an interceptor, or one method of a generated client as an
// agent, whole or as a stream.
//
//	import (
//		sdk "google.golang.org/grpc"
//		"github.com/understudy-go/understudy/middleware/adapters/grpc"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	layers, err := grpc.DialOptions(func(b *grpc.Builder) {
//		b.Named("models").
//			Retry(strategies.Retry{Jitter: 0.25}).
//			CircuitBreaker(&strategies.Breaker{}).
//			Timeout(10*time.Second)
//	})
//	cc, err := sdk.NewClient(address, append(layers, credentials)...)
//
// The interceptor stands outside of the connection's balancer and transport,
// and makes every attempt anew, with a reply of its own:
//
//	client.Check ── retry ── breaker ── timeout ── interceptor ── balancer ── wire
//	    ▲                                              │     (service config's retries: off)
//	    └────── the attempt's reply is copied ◄────────┘
//
// A call fails with an [Error]: a strategies.RecoveryError that the status
// package can read.
//
// # One method as an agent
//
// [Unary] and [Stream] take a method of the generated client, and keep its types;
// everything of the builder is there, with typed stand-ins and rungs:
//
//	agent, err := middleware.Wrap(grpc.Unary(client.Check)).Retry(strategies.Retry{}).Build()
//	watch, err := middleware.WrapStream(grpc.Stream(client.Watch)).Retry(strategies.Retry{}).Build()
//
// Streams have this form only. An interceptor hands a stream to its reader before
// the first message is there, as something to be pulled; a client's own stream and
// one in both directions cannot be begun again at all, for their messages are gone.
//
// # What a status means
//
// Unavailable, Aborted, Internal, Unknown and DataLoss pass, and are retried;
// ResourceExhausted is a rate limit, or a quota if its QuotaFailure names one by
// the day; a RetryInfo is waited for. NotFound, PermissionDenied and
// Unauthenticated are left to a stand-in; InvalidArgument and its kin to nobody. A
// rule of the builder's Classify decides otherwise.
//
// # Traps
//
//   - Retries of the service config multiply with ours. [DialOptions] turns them
//     off; with [Interceptor], [Unary] or [Stream] on a connection of your own, add
//     WithDisableRetry to it. gRPC's transparent retries, of what no server has
//     seen, stay on.
//   - A retry repeats the call. Name the methods for which that is fine, or leave
//     out Retry: Unavailable does not say that nothing was done.
//   - A call with WaitForReady waits inside of the attempt's Timeout.
//   - A breaker of an interceptor is one for the whole connection.
//   - Both packages are called grpc: import one of them by another name.
package grpc
