package equals

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// The numbers of LiteLLM's router.
const (
	cooldown     = 5 * time.Second
	allowedFails = 3 // a minute
	retries      = 2
	firstSleep   = 500 * time.Millisecond
	lastSleep    = 8 * time.Second
	latencies    = 10 // of the last answers
)

type deployment struct {
	*Member
	until    time.Time // it cools down
	fails    []time.Time
	inFlight int
	took     []time.Duration
}

type router struct {
	mu     sync.Mutex
	luck   *rand.Rand
	all    []*deployment
	choose func(r *router, well []*deployment) *deployment
}

// Peers are models of LiteLLM's strategies.
var Peers = []System{
	litellm("litellm, simple-shuffle", func(r *router, well []*deployment) *deployment { return well[r.luck.IntN(len(well))] }),
	litellm("litellm, least-busy", func(_ *router, well []*deployment) *deployment {
		least := well[0]
		for _, d := range well {
			if d.inFlight < least.inFlight {
				least = d
			}
		}
		return least
	}),
	litellm("litellm, latency", func(r *router, well []*deployment) *deployment {
		r.luck.Shuffle(len(well), func(i, j int) { well[i], well[j] = well[j], well[i] })
		best := well[0]
		for _, d := range well {
			if d.mean() < best.mean() {
				best = d
			}
		}
		return best
	}),
}

func (d *deployment) mean() (mean time.Duration) {
	for _, t := range d.took {
		mean += t / time.Duration(len(d.took))
	}
	return mean
}

func litellm(name string, choose func(*router, []*deployment) *deployment) System {
	return System{name, func(members []*Member) Ask {
		r := &router{choose: choose, luck: rand.New(rand.NewPCG(7, 7))}
		for _, m := range members {
			r.all = append(r.all, &deployment{Member: m})
		}
		return r.ask
	}}
}

var errAllCool = errors.New("no deployments available")

func (r *router) ask(ctx context.Context, conversation string) (by string, err error) {
	for attempt := 0; ; attempt++ {
		if by, err = r.once(ctx, conversation); err == nil || attempt == retries || ctx.Err() != nil {
			return by, err
		}
		select {
		case <-time.After(r.sleep(attempt, err)):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (r *router) once(ctx context.Context, conversation string) (string, error) {
	r.mu.Lock()
	well := r.well()
	if len(well) == 0 {
		r.mu.Unlock()
		return "", errAllCool
	}
	d := r.choose(r, well)
	d.inFlight++
	r.mu.Unlock()
	began := time.Now()
	by, err := d.Run(ctx, conversation)
	r.mu.Lock()
	defer r.mu.Unlock()
	d.inFlight--
	now := time.Now()
	if err == nil {
		if d.took = append(d.took, now.Sub(began)); len(d.took) > latencies {
			d.took = d.took[1:]
		}
		return by, nil
	}
	if d.fails = append(d.fails, now); now.Sub(d.fails[0]) > time.Minute {
		d.fails = d.fails[1:]
	}
	after, limited := hint(err)
	if limited || len(d.fails) > allowedFails {
		d.until, d.fails = now.Add(max(after, cooldown)), nil
	}
	return by, err
}

func (r *router) well() (well []*deployment) {
	for _, d := range r.all {
		if !time.Now().Before(d.until) {
			well = append(well, d)
		}
	}
	return well
}

func (r *router) sleep(attempt int, err error) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) > 1 && len(r.well()) > 0 {
		return 0
	}
	if after, _ := hint(err); after > 0 && after <= time.Minute {
		return after
	}
	d := min(firstSleep<<attempt, lastSleep)
	return d + time.Duration(0.75*r.luck.Float64()*float64(d))
}

func hint(err error) (after time.Duration, limited bool) {
	refused, ok := errors.AsType[*Refusal](err)
	if !ok || refused.StatusCode != 429 {
		return 0, false
	}
	seconds, _ := strconv.Atoi(refused.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, true
}
