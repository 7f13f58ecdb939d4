package lab

import (
	"context"
	"sync"
)

// calling is an agent that asks the model, and then the agents below it.
func calling(n *Nested, level int, model, below Ask) Ask {
	return func(ctx context.Context, req Request) (Answer, error) {
		answer, err := model(ctx, req)
		if err != nil {
			return answer, err
		}
		for {
			errs := make([]error, n.Asks)
			var all sync.WaitGroup
			for i := range errs {
				all.Go(func() { _, errs[i] = below(ctx, req) })
			}
			all.Wait()
			for _, err := range errs {
				if err != nil {
					return Answer{}, err
				}
			}
			if level != 2 || !req.Runaway {
				return answer, nil
			}
		}
	}
}
