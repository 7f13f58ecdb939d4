package providers_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/understudy-go/understudy/strategies"
)

func TestGRPC(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]strategies.Class{
		codes.Unknown:            strategies.ClassTransient,
		codes.InvalidArgument:    strategies.ClassBadRequest,
		codes.DeadlineExceeded:   strategies.ClassTimeout,
		codes.NotFound:           strategies.ClassNotFound,
		codes.AlreadyExists:      strategies.ClassBadRequest,
		codes.PermissionDenied:   strategies.ClassUnauthorized,
		codes.ResourceExhausted:  strategies.ClassRateLimited,
		codes.FailedPrecondition: strategies.ClassBadRequest,
		codes.Aborted:            strategies.ClassTransient,
		codes.OutOfRange:         strategies.ClassBadRequest,
		codes.Unimplemented:      strategies.ClassBadRequest,
		codes.Internal:           strategies.ClassTransient,
		codes.Unavailable:        strategies.ClassTransient,
		codes.DataLoss:           strategies.ClassTransient,
		codes.Unauthenticated:    strategies.ClassUnauthorized,
		codes.Code(99):           strategies.ClassTransient,
	} {
		t.Run(fmt.Sprintf("it takes %v for %v", code, want), func(t *testing.T) {
			err := status.Error(code, "no")
			for _, err := range []error{err, fmt.Errorf("agent: %w", err)} {
				if got := strategies.Classify(err); got.Class != want || got.RetryAfter != 0 {
					t.Errorf("got %v, %v", got.Class, got.RetryAfter)
				}
			}
		})
	}
}

func TestGRPCDetails(t *testing.T) {
	t.Parallel()
	wait := &errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}
	quota := func(id string) protoadapt.MessageV1 {
		return &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{QuotaId: "PerMinute"}, {QuotaId: id}}}
	}
	for _, tt := range []struct {
		it      string
		code    codes.Code
		message string
		details []protoadapt.MessageV1
		want    strategies.Class
		hint    time.Duration
	}{
		{"reads the wait", codes.Unavailable, "", []protoadapt.MessageV1{&errdetails.Help{}, wait}, strategies.ClassTransient, 1500 * time.Millisecond},
		{"reads no wait from an empty RetryInfo", codes.Unavailable, "", []protoadapt.MessageV1{&errdetails.RetryInfo{}}, strategies.ClassTransient, 0},
		{"makes a negative wait none", codes.Unavailable, "", []protoadapt.MessageV1{&errdetails.RetryInfo{RetryDelay: durationpb.New(-1)}}, strategies.ClassTransient, 0},
		{"tells a daily quota from a rate limit", codes.ResourceExhausted, "", []protoadapt.MessageV1{wait, quota("TokensPerDayPerProject")}, strategies.ClassQuotaExhausted, 1500 * time.Millisecond},
		{"takes a quota by the minute for a rate limit", codes.ResourceExhausted, "", []protoadapt.MessageV1{quota("TokensPerMinute")}, strategies.ClassRateLimited, 0},
		{"survives violations of another kind", codes.FailedPrecondition, "", []protoadapt.MessageV1{&errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{{Type: "TOS"}}}}, strategies.ClassBadRequest, 0},
		{"knows a wrong key by its reason", codes.InvalidArgument, "API key not valid.", []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: "API_KEY_INVALID"}}, strategies.ClassUnauthorized, 0},
		{"knows an overflow by its text", codes.InvalidArgument, "The input token count (2) exceeds the maximum number of tokens allowed (1).", nil, strategies.ClassContextOverflow, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			s, err := status.New(tt.code, tt.message).WithDetails(tt.details...)
			if err != nil {
				t.Fatal(err)
			}
			got := strategies.Classify(fmt.Errorf("agent: %w", s.Err()))
			if got.Class != tt.want || got.RetryAfter != tt.hint {
				t.Errorf("got %v, %v, want %v, %v", got.Class, got.RetryAfter, tt.want, tt.hint)
			}
		})
	}
	t.Run("it takes a cancellation for no reason: whether the caller has left is known to the layers", func(t *testing.T) {
		if got := strategies.Classify(status.Error(codes.Canceled, "context canceled")); got.Class != strategies.ClassTransient {
			t.Errorf("got %v", got.Class)
		}
	})
}
