package lab

import ("testing";"testing/synctest";"fmt";"time";"os"
"github.com/understudy-go/understudy/middleware"
"github.com/understudy-go/understudy/strategies")

func variant(name string, br func() *strategies.Breaker, re strategies.Retry) System {
	return System{Name: name, Build: func(env Env) Ask {
		b := middleware.Wrap(runner(env.Primary)).Named(Primary).Retry(re).CircuitBreaker(watched(br(), env)).Timeout(env.Timeout).Validate(good)
		if env.StandIn != nil { b.Fallback(StandIn, runner(env.StandIn)) }
		return build(b)
	}}
}

func TestDbg(t *testing.T) {
	days, err := Load("scenarios"); if err!=nil {t.Fatal(err)}
	sys := []System{byHand, failsafeGo, ours,
	  variant("trials2", func() *strategies.Breaker { return &strategies.Breaker{Trials:2,NoJitter:true}}, strategies.Retry{}),
	  variant("trials3", func() *strategies.Breaker { return &strategies.Breaker{Trials:3,NoJitter:true}}, strategies.Retry{}),
	  variant("max5m,trials2", func() *strategies.Breaker { return &strategies.Breaker{Trials:2,MaxOpenFor:5*time.Minute,NoJitter:true}}, strategies.Retry{}),
	  variant("window2m.25", func() *strategies.Breaker { return &strategies.Breaker{Window:2*time.Minute,Ratio:.25,Trials:2,NoJitter:true}}, strategies.Retry{}),
	  variant("window1m.2", func() *strategies.Breaker { return &strategies.Breaker{Window:1*time.Minute,Ratio:.2,Trials:3,NoJitter:true}}, strategies.Retry{}),
	}
	for i := range days { if days[i].Name!=os.Getenv("SC") {continue}
		for _, s := range sys {
			var full, calls, fo float64; var bk, pb time.Duration; n:=16; var mx time.Duration
			for seed:=0; seed<n; seed++ { d:=days[i]; d.Seed=uint64(100+seed)
			synctest.Test(t, func(t *testing.T){
				r := Measure(&d, s.Name, Simulate(&d, s)); full+=r.Full; calls+=r.CallsPerRequest; fo+=float64(r.FalseOpenings); bk=max(bk,r.Back); pb+=r.Primary; mx=max(mx,r.Max)
			})}
			fmt.Printf("%-20s full %.3f calls %.4f false %.1f backmax %v primary %v max %v\n", s.Name, full/float64(n), calls/float64(n), fo/float64(n), bk, pb/time.Duration(n), mx)
		}
	}
}
