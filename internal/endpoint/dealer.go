package endpoint

import (
	"hash/fnv"
	"math/rand/v2"
)

// dealer hands out fates by the plan. It is not safe for concurrent use: the server deals
// and logs under one lock, so that the log is in the order of the numbers.
type dealer struct {
	plan   Plan
	models map[string]*hand
}

// hand is what the dealer remembers of one model.
type hand struct {
	seen int
	dice *rand.Rand
}

func newDealer(plan Plan) *dealer { return &dealer{plan: plan, models: map[string]*hand{}} }

// deal numbers the next request of the model and decides its fate.
func (d *dealer) deal(model string) (n int, fault Fault) {
	h := d.models[model]
	if h == nil {
		// Dice of its own for every model: what one model draws cannot depend on how
		// its requests interleave with those of another.
		h = &hand{dice: rand.New(rand.NewPCG(d.plan.Seed, hash(model)))}
		d.models[model] = h
	}
	h.seen++
	n = h.seen

	fault = OK()
	if script := d.plan.Script[model]; n <= len(script) {
		fault = script[n-1]
	} else if len(d.plan.Kinds) > 0 {
		// Always two throws, so that a changed Rate or an outage above leaves the
		// throws of the later requests where they were.
		chance, which := h.dice.Float64(), h.dice.IntN(len(d.plan.Kinds))
		if chance < d.plan.Rate {
			fault = d.plan.Kinds[which]
		}
	}
	for _, outage := range d.plan.Down[model] {
		if outage.covers(n) {
			fault = outage.fault()
			break
		}
	}
	if fault.Kind == "" {
		fault.Kind = kindOK // one spelling in the log
	}
	return n, fault
}

// seen is how many requests the model has had.
func (d *dealer) seen(model string) int {
	if h := d.models[model]; h != nil {
		return h.seen
	}
	return 0
}

// hash spreads names over the seeds. FNV and not maphash: it must be the same in every run.
func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, part := range parts {
		_, _ = h.Write([]byte(part)) // a hash never fails to write
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}
