package strategies

import (
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
)

// MemberError is the failure of one member of a pool.
type MemberError struct {
	Member string
	Err    error
	// Another says that another member may be asked, after a time; 0: at once.
	Another bool
	After   time.Duration
}

func (e *MemberError) Error() string { return fmt.Sprintf("%s: %s", e.Member, errtree.Text(e.Err)) }

// Unwrap returns the member's own error.
func (e *MemberError) Unwrap() error { return e.Err }

// RecoveryClass is the class of the member's own error; but a key that was refused or
// is used up, or a model that is gone, is no reason not to ask another member, if
// there is one: then it is [ClassTransient].
func (e *MemberError) RecoveryClass() Class {
	v := Classify(e.Err)
	if e.Another && !v.Retry && v.Fallback && (v.Holds || v.Loud) {
		return ClassTransient
	}
	return ClassUnclassified
}

// RecoveryHint is when another member may be asked: how long this one wants to be left
// alone is nothing to it.
func (e *MemberError) RecoveryHint() time.Duration {
	if e.Another {
		return max(e.After, AtOnce)
	}
	return 0
}

// AtOnce is the shortest hint that there is. It is no provider's.
const AtOnce = time.Nanosecond

// NoMemberError is a request that no member of a pool can serve.
type NoMemberError struct{}

func (*NoMemberError) Error() string {
	return "understudy: no member of the pool can serve such a request: look at what Can says"
}

// RecoveryClass is [ClassBadRequest]: a stand-in may.
func (*NoMemberError) RecoveryClass() Class { return ClassBadRequest }
