package middleware

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/understudy-go/understudy/internal/units"
	"github.com/understudy-go/understudy/strategies"
)

// misconfigured is what a layer put together by hand becomes when its settings
// make no sense: it lets no call through and says why.
func misconfigured[Req, Resp any](err error) Runner[Req, Resp] {
	return runnerFunc[Req, Resp](func(context.Context, Req) (Resp, error) {
		var none Resp
		return none, err
	})
}

// refuseNil keeps a nil runner from becoming a panic of the first call.
func refuseNil[Req, Resp any](r Runner[Req, Resp]) Runner[Req, Resp] {
	if isNil(r) {
		return misconfigured[Req, Resp](settingNil("Chain", "a runner, and middlewares that return one"))
	}
	return r
}

func settingNil(setting, want string) error {
	return &strategies.ConfigError{Setting: setting, Problem: "is nil", Fix: "give it " + want}
}

func positive[N time.Duration | int](setting string, n N) error {
	if n <= 0 {
		return &strategies.ConfigError{Setting: setting, Problem: fmt.Sprintf("is %v", n), Fix: "use a positive value, or leave the layer out"}
	}
	if d, is := any(n).(time.Duration); is {
		return unit(setting, d)
	}
	return nil
}

// unit refuses a duration that has lost its unit.
func unit(setting string, d time.Duration) error {
	if problem, fix, ok := units.Missing(d); !ok {
		return &strategies.ConfigError{Setting: setting, Problem: problem, Fix: fix}
	}
	return nil
}

// isNil also sees a nil pointer or function inside of an interface, on which a
// call would panic at 3 a.m.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}

// same says whether two runners are one and the same. Functions cannot be
// compared and are taken to differ.
func same(a, b any) bool {
	if a == nil || b == nil {
		return false
	}
	t := reflect.TypeOf(a)
	return t == reflect.TypeOf(b) && t.Comparable() && reflect.ValueOf(a).Comparable() && a == b
}

// typeName is the name of a type, for a text.
func typeName[T any]() string { return reflect.TypeFor[T]().String() }
