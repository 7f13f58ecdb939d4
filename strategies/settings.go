package strategies

import (
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/units"
)

// ConfigError is a setting that makes no sense. Build returns all of them
// joined; a layer put together by hand answers every call with its own.
type ConfigError struct {
	Setting string // its name as the user wrote it: "Retry.MaxRetries"
	Problem string // what is wrong: "is negative (-1)"
	Fix     string // what to do: "leave it 0 for the default of 3"
}

func (e *ConfigError) Error() string {
	s := "understudy: " + e.Setting + " " + e.Problem
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// Is makes a ConfigError match [ErrConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// RecoveryClass says that a wrong setting is nobody's to recover: a stand-in
// would hide it for good. Only a person can help.
func (e *ConfigError) RecoveryClass() Class { return ClassUnrecoverable }

// problems collects everything that is wrong with the settings of a strategy.
type problems []error

func (p *problems) add(setting, problem, fix string) {
	*p = append(*p, &ConfigError{Setting: setting, Problem: problem, Fix: fix})
}

// also adds what another Validate has found, one by one.
func (p *problems) also(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // what it joins is what is wanted
		*p = append(*p, several.Unwrap()...)
	} else if err != nil {
		*p = append(*p, err)
	}
}

// err is nil, the one problem, or all of them joined.
func (p *problems) err() error {
	switch len(*p) {
	case 0:
		return nil
	case 1:
		return (*p)[0]
	}
	return errors.Join(*p...)
}

// negative notes a number below 0.
func negative[T interface{ ~int | ~int64 }](p *problems, setting string, value T, fix string) {
	if value < 0 {
		p.add(setting, fmt.Sprintf("is negative (%v)", value), fix)
	}
	if d, is := any(value).(time.Duration); is {
		p.unit(setting, d)
	}
}

// unit notes a duration that has lost its unit.
func (p *problems) unit(setting string, d time.Duration) {
	if problem, fix, ok := units.Missing(d); !ok {
		p.add(setting, problem, fix)
	}
}

// fractional notes what is no fraction from 0 to most.
func (p *problems) fractional(setting string, value, most float64, fix string) {
	if !(value >= 0 && value <= most) { // NaN is neither
		p.add(setting, fmt.Sprintf("is %v", value), fmt.Sprintf("use a number from 0 to %v; %s", most, fix))
	}
}

func orDefault[T ~int | ~float64 | ~int64](v, fallback T) T {
	if v == 0 {
		return fallback
	}
	return v
}
