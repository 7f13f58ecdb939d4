package grpc

import (
	"context"
	"reflect"
	"strings"

	sdk "google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/understudy-go/understudy/middleware"
)

// Builder is what the settings of a connection are made with: the builder every
// agent has, for calls of any method. An answer is the reply message.
type Builder = middleware.Builder[Call, any]

// Call is a unary call on its way through the layers.
type Call struct {
	Method  string // "/grpc.health.v1.Health/Check"
	Request any
	Options []sdk.CallOption

	reply  any // the caller's, which tells the type
	invoke func(ctx context.Context, reply any) error
}

// fresh returns an empty reply: each attempt has its own, for one that was left
// behind may still write to it.
func (c Call) fresh() any {
	if m, ok := c.reply.(proto.Message); ok {
		return m.ProtoReflect().New().Interface()
	}
	return reflect.New(reflect.TypeOf(c.reply).Elem()).Interface()
}

// DialOptions gives the unary calls of a connection layers, and turns off the
// retries of its service config. With methods, only the calls of these have
// layers: "/grpc.health.v1.Health/Check", or "/grpc.health.v1.Health/" for all of
// a service. The error says what is wrong with the settings.
//
// Streams get no layers, but each message that comes by one is a sign of life of the
// call that opened it; see [middleware.Call.Alive].
func DialOptions(settings func(b *Builder), methods ...string) ([]sdk.DialOption, error) {
	unary, err := Interceptor(settings, methods...)
	if err != nil {
		return nil, err
	}
	return []sdk.DialOption{sdk.WithChainUnaryInterceptor(unary), sdk.WithChainStreamInterceptor(AliveInterceptor()), sdk.WithDisableRetry()}, nil
}

// AliveInterceptor is the stream interceptor of [DialOptions] alone: an agent or a tool
// that reads a stream in the course of its call is at work for as long as messages
// come, so that a chain with TimeoutWhileAlive leaves it the time.
func AliveInterceptor() sdk.StreamClientInterceptor {
	return func(ctx context.Context, desc *sdk.StreamDesc, cc *sdk.ClientConn, method string, open sdk.Streamer, options ...sdk.CallOption) (sdk.ClientStream, error) {
		stream, err := open(ctx, desc, cc, method, options...)
		if err != nil || stream == nil {
			return stream, err
		}
		return &alive{stream, middleware.CallOf(ctx)}, nil
	}
}

type alive struct {
	sdk.ClientStream
	call middleware.Call
}

func (s *alive) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.call.Alive()
	}
	return err
}

// Interceptor is the interceptor of [DialOptions] alone: turn off the service
// config's retries with grpc.WithDisableRetry. Streams do not pass through it:
// gRPC hands their reader the stream before there is an answer, where nothing
// can be taken back; see [Stream].
func Interceptor(settings func(b *Builder), methods ...string) (sdk.UnaryClientInterceptor, error) {
	b := middleware.WrapFunc(func(ctx context.Context, c Call) (any, error) {
		reply := c.fresh()
		return reply, c.invoke(ctx, reply)
	})
	if settings != nil {
		settings(b)
	}
	chain, err := b.Build()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, method string, req, reply any, cc *sdk.ClientConn, invoke sdk.UnaryInvoker, options ...sdk.CallOption) error {
		if ctx.Value(bareKey{}) != nil || !applies(methods, method) {
			return invoke(ctx, method, req, reply, cc, options...)
		}
		answer, err := chain.Run(ctx, Call{
			Method: method, Request: req, Options: options, reply: reply,
			invoke: func(ctx context.Context, reply any) error {
				return invoke(ctx, method, req, reply, cc, options...)
			},
		})
		if err != nil {
			return explain(ctx, err)
		}
		return deliver(reply, answer)
	}, nil
}

func applies(methods []string, method string) bool {
	for _, m := range methods {
		if m == method || strings.HasSuffix(m, "/") && strings.HasPrefix(method, m) {
			return true
		}
	}
	return len(methods) == 0
}

// bareKey marks a call of a stand-in, which gets no layers of its own.
type bareKey struct{}

// Conn makes another connection a stand-in, for Fallback: the same method is
// called there, once, without the layers that it may have itself.
func Conn(cc sdk.ClientConnInterface) middleware.Runner[Call, any] {
	if cc == nil {
		return nil // refused by the builder
	}
	return middleware.Func(func(ctx context.Context, c Call) (any, error) {
		reply := c.fresh()
		return reply, cc.Invoke(context.WithValue(ctx, bareKey{}, true), c.Method, c.Request, reply, c.Options...)
	})
}

// Reply is a rung for Degrade: the same message for every call, which is copied
// into the reply of each.
func Reply(message proto.Message) middleware.Runner[Call, any] {
	if message == nil {
		return nil // refused by the builder
	}
	return middleware.Func(func(context.Context, Call) (any, error) { return message, nil })
}
