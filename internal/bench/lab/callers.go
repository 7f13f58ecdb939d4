package lab

import (
	"math"
	"time"
)

// Request is one question of a caller's.
type Request struct {
	Number int
	At     time.Duration // since the start
	Poison bool
	// Tokens is what it costs at an agent; Guess what its caller takes it for.
	Tokens, Guess int
	Tricky        bool // its answers are bad, until it is told why
	Told          bool // what was wrong with the last answer
	Runaway       bool
}

// What a draw is for, so that no two of one call are the same.
const (
	forArrival = iota
	forPoison
	forUplink
	forError
	forHang
	forBad
	forRefusal
	forLatency
	forLatency2
	forTokens
	forTokens2
	forTricky
	forRunaway
	forTail
	forTold
)

// draw is a number from 0 up to 1 that follows from what it is for.
func draw(seed uint64, what, request, call int, agent string) float64 {
	x := seed
	for _, part := range [...]uint64{uint64(what), uint64(request), uint64(call), uint64(len(agent))} {
		x = scramble(x ^ part)
	}
	return float64(x>>11) / (1 << 53)
}

// scramble is a step of splitmix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Requests are all requests of a scenario: a Poisson process, faster in a surge
// (made by thinning one of the highest rate).
func (s *Scenario) Requests() []Request {
	most := 1.0
	for _, surge := range s.Surges {
		most = max(most, surge.Times)
	}
	var all []Request
	at := time.Duration(0)
	for n := 0; ; n++ {
		gap := -math.Log(1-draw(s.Seed, forArrival, n, 0, "")) / (s.Rate * most)
		at += max(time.Duration(gap*float64(time.Second)), 1) // no two at one instant
		if at >= s.Length.D() {
			return all
		}
		if draw(s.Seed, forArrival, n, 1, "") < s.factor(at)/most {
			number := len(all)
			all = append(all, s.request(number, at))
		}
	}
}

func (s *Scenario) request(number int, at time.Duration) Request {
	luck := func(what int) float64 { return draw(s.Seed, what, number, 0, "") }
	r := Request{Number: number, At: at, Poison: luck(forPoison) < s.Poison}
	if k := s.Tokens; k != nil {
		r.Tokens = max(1, int(k.Median*lognormal(k.Sigma, luck(forTokens), luck(forTokens2))))
		r.Guess = max(1, int(float64(r.Tokens)*k.Guess))
	}
	r.Tricky = s.Tricky != nil && luck(forTricky) < s.Tricky.Share
	r.Runaway = s.Nested != nil && luck(forRunaway) < s.Nested.Runaway
	return r
}

func (s *Scenario) factor(at time.Duration) float64 {
	for _, surge := range s.Surges {
		if from := surge.From.D(); at >= from && at < from+surge.For.D() {
			return surge.Times
		}
	}
	return 1
}

// lognormal is a latency with the median and spread of the agent.
func (a *Agent) lognormal(u1, u2 float64) time.Duration {
	return time.Duration(float64(a.Median) * lognormal(a.Sigma, u1, u2))
}

// lognormal has a median of 1.
func lognormal(sigma, u1, u2 float64) float64 {
	normal := math.Sqrt(-2*math.Log(1-u1)) * math.Cos(2*math.Pi*u2)
	return math.Exp(sigma * normal)
}
