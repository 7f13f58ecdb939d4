package endpoint

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Plan says how each request will fare. The zero value is a healthy provider. The package
// comment tells in which order the fields are asked.
type Plan struct {
	// Script lists the fate of a model's requests, by model: entry 0 is for request 1.
	Script map[string][]Fault

	// Down lists the windows in which a model fails whatever the script and the dice say.
	// A single zero Outage takes the model down for good.
	Down map[string][]Outage

	// Rate is the chance, 0 to 1, that a request past the script of its model fails,
	// and Kinds is what it then fails with, each entry being as likely as the others.
	// Name a fault twice to make it twice as likely.
	Rate  float64
	Kinds []Fault

	// Seed starts the dice, and flavours the default answers.
	Seed uint64

	// Answer writes the text of a good answer. It must be deterministic and safe for
	// concurrent use; it is called once for every request, also for one that will fail.
	// The default is a line of a story that depends on the seed, the model and what the
	// user said last.
	Answer func(model string, messages []Message) string
}

// Outage is a window of requests, counted per model from 1, that all fail.
type Outage struct {
	From  int   // the first request to fail; 0 means the very first
	To    int   // the last request to fail; 0 means that the outage never ends
	Fault Fault // how they fail; the zero value means Status(503), Drop() is a dead host
}

func (o Outage) covers(n int) bool { return n >= o.From && (o.To == 0 || n <= o.To) }

func (o Outage) fault() Fault {
	if o.Fault == (Fault{}) {
		return Status(503)
	}
	return o.Fault
}

// check returns every fault of the plan at once, each named by its field, in a fixed order.
func (p Plan) check() error {
	var errs []error
	wrong := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("endpoint: Plan.%s %w", field, err))
		}
	}
	for _, model := range slices.Sorted(maps.Keys(p.Script)) {
		for i, f := range p.Script[model] {
			wrong(fmt.Sprintf("Script[%q][%d]", model, i), f.check())
		}
	}
	for _, model := range slices.Sorted(maps.Keys(p.Down)) {
		for i, o := range p.Down[model] {
			field := fmt.Sprintf("Down[%q][%d]", model, i)
			wrong(field+".Fault", o.Fault.check())
			if o.Fault.Kind == kindOK {
				wrong(field+".Fault", errors.New("is OK, which is no outage"))
			}
			if o.From < 0 || o.To < 0 || (o.To > 0 && o.To < o.From) {
				wrong(field, fmt.Errorf("covers no request: From %d, To %d", o.From, o.To))
			}
		}
	}
	if !(p.Rate >= 0 && p.Rate <= 1) { // written so that NaN fails as well
		wrong("Rate", fmt.Errorf("is %v; want 0 to 1", p.Rate))
	}
	if p.Rate > 0 && len(p.Kinds) == 0 {
		wrong("Kinds", errors.New("is empty although Rate is not zero"))
	}
	for i, f := range p.Kinds {
		wrong(fmt.Sprintf("Kinds[%d]", i), f.check())
	}
	return errors.Join(errs...)
}

// clone detaches the plan from its caller, who may go on to change maps and slices.
func (p Plan) clone() Plan {
	p.Script = maps.Clone(p.Script)
	for model, script := range p.Script {
		p.Script[model] = slices.Clone(script)
	}
	p.Down = maps.Clone(p.Down)
	for model, outages := range p.Down {
		p.Down[model] = slices.Clone(outages)
	}
	p.Kinds = slices.Clone(p.Kinds)
	return p
}
