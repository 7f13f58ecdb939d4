package grpc

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/understudy-go/understudy/strategies"
)

// Error is what a call through an [Interceptor] fails with: a
// [strategies.RecoveryError] that is a status, too, as gRPC wants it: that of the
// last attempt that had one, with its details.
type Error struct {
	Err    error
	status *status.Status
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the failure, with every attempt's own error.
func (e *Error) Unwrap() error { return e.Err }

// GRPCStatus returns the status, for the status package.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// RecoveryClass is that of the failure, which knows more than its status.
func (e *Error) RecoveryClass() strategies.Class { return strategies.Classify(e.Err).Class }

// explain makes a status of a failure. An interrupt stays as it is.
func explain(ctx context.Context, err error) error {
	failure, ok := errors.AsType[*strategies.RecoveryError](err)
	if !ok {
		return err
	}
	return &Error{Err: err, status: statusOf(ctx, failure)}
}

func statusOf(ctx context.Context, failure *strategies.RecoveryError) *status.Status {
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err)
	}
	for i := len(failure.Attempts) - 1; i >= 0; i-- {
		if s, ok := status.FromError(failure.Attempts[i].Err); ok {
			return s
		}
	}
	code := codes.Unknown
	switch failure.Class {
	case strategies.ClassRejected:
		code = codes.Unavailable
	case strategies.ClassTimeout:
		code = codes.DeadlineExceeded
	case strategies.ClassPanic:
		code = codes.Internal
	}
	return status.New(code, failure.Error())
}

// deliver puts an answer into the caller's reply.
func deliver(reply, answer any) error {
	to, ok := reply.(proto.Message)
	from, is := answer.(proto.Message)
	if ok && is {
		if to.ProtoReflect().Descriptor() == from.ProtoReflect().Descriptor() {
			proto.Reset(to)
			proto.Merge(to, from)
			return nil
		}
	} else if t := reflect.TypeOf(reply); t == reflect.TypeOf(answer) { // of another codec
		reflect.ValueOf(reply).Elem().Set(reflect.ValueOf(answer).Elem())
		return nil
	}
	return status.Error(codes.Internal, fmt.Sprintf("understudy: grpc: a stand-in or rung answered with a %T where a %T belongs", answer, reply))
}
