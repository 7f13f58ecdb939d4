package strategies_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

// text is what all enums of the package have.
type text[E any] interface {
	*E
	encoding.TextUnmarshaler
}

// readBack writes and reads the first n constants of an enum, and what is none.
func readBack[E interface {
	comparable
	fmt.Stringer
	encoding.TextMarshaler
}, P text[E]](t *testing.T, of func(int) E, n int) {
	t.Helper()
	for i := range n {
		in := of(i)
		raw, err := json.Marshal(map[string]E{"it": in})
		if err != nil {
			t.Errorf("%T %v: %v", in, in, err)
			continue
		}
		if want := `{"it":"` + in.String() + `"}`; string(raw) != want {
			t.Errorf("%T: got %s, want %s", in, raw, want)
		}
		var out map[string]E
		if err := json.Unmarshal(raw, &out); err != nil || out["it"] != in {
			t.Errorf("%T: %s is read as %v, %v", in, raw, out["it"], err)
		}
	}
	if raw, err := of(n).MarshalText(); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("%T: %d is written as %q, %v", of(n), n, raw, err)
	}
	var e E
	before := e
	for _, none := range []string{"", "unknown", "0", "FULL", strings.Repeat("x", 1000)} {
		err := P(&e).UnmarshalText([]byte(none))
		if !errors.Is(err, strategies.ErrConfig) || e != before || len(err.Error()) > 500 {
			t.Errorf("%T: %q is read as %v: %v", e, none, e, err)
		}
	}
}

func TestEnumsAreReadBack(t *testing.T) {
	readBack(t, func(i int) strategies.Class { return strategies.Class(i) }, len(strategies.Classes())+1)
	readBack(t, func(i int) strategies.Strategy { return strategies.Strategy(i) }, 5)
	readBack(t, func(i int) strategies.Level { return strategies.Level(i) }, 4)
	readBack(t, func(i int) strategies.State { return strategies.State(i) }, 5)
	readBack(t, func(i int) strategies.Action { return strategies.Action(i) }, 4)
	readBack(t, func(i int) strategies.Effect { return strategies.Effect(i) }, 3)
	readBack(t, func(i int) strategies.EffectState { return strategies.EffectState(i) }, 7)
	readBack(t, func(i int) strategies.Allowance { return strategies.Allowance(i) }, 2)
	readBack(t, func(i int) strategies.FleetKind { return strategies.FleetKind(i) }, 4)
}

func TestUnknownTextSaysWhatThereIs(t *testing.T) {
	var l strategies.Level
	want := `understudy: level "half" is not known: use one of: full, reduced, minimal, emergency`
	if err := l.UnmarshalText([]byte("half")); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
