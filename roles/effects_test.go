package roles_test

import (
	"context"
	"errors"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// A whole cast that writes down what its tools do: whoever stands in finds what was
// done by the one who failed.
func TestACastDoesNothingTwice(t *testing.T) {
	paid := map[string]int{}
	pay := middleware.WrapTool("pay", strategies.EffectOnce, func(_ context.Context, order string) (string, error) {
		paid[order]++
		return "receipt " + order, nil
	})
	cast, err := roles.NewCast(roles.Understudies{"waiter": {"cook"}}, func(b *middleware.Builder[string, string], _ roles.Agent[string, string]) {
		b.Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).Effects(middleware.Effects{})
	})
	if err != nil {
		t.Fatal(err)
	}
	waiter, err := cast.Register(roles.AsFunc("Anna", roles.Role("waiter"), func(ctx context.Context, order string) (string, error) {
		_, err := pay.Run(ctx, order)
		return "", errors.Join(err, errors.New("she drops the tray"))
	}))
	if err != nil {
		t.Fatal(err)
	}
	cook, err := cast.Register(roles.AsFunc("Bert", roles.Role("cook"), pay.Run))
	if err != nil {
		t.Fatal(err)
	}
	out := waiter.Outcome(t.Context(), "soup")
	if out.Err != nil || out.Value != "receipt soup" || out.ServedBy != "Bert" || len(out.Effects) != 3 || paid["soup"] != 1 {
		t.Errorf("%+v, paid %v", out, paid)
	}
	if _, err := cook.Run(t.Context(), "soup"); err != nil || paid["soup"] != 2 {
		t.Errorf("another call is another effect: %v, paid %v", err, paid)
	}
}
