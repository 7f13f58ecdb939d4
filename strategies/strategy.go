package strategies

// Strategy is a way in which a call was, or is now to be, recovered. The order
// of the constants is the documented order of recovery.
type Strategy uint8

const (
	// StrategyNone: none was needed, or none would help.
	StrategyNone Strategy = iota
	// StrategyRetry: the same agent was asked again.
	StrategyRetry
	// StrategyFallback: another agent that can play the role was asked.
	StrategyFallback
	// StrategyDegradation: a reduced answer was given.
	StrategyDegradation
	// StrategyUserIntervention: a person decided.
	StrategyUserIntervention
)

var strategyNames = [...]string{"none", "retry", "fallback", "degradation", "user_intervention"}
