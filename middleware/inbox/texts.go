package inbox

import "github.com/understudy-go/understudy/internal/errtree"

// MarshalText writes what Error returns: in JSON an error is its text.
func (e *ClosedError) MarshalText() ([]byte, error) { return []byte(errtree.Text(e)), nil }

// MarshalText writes what Error returns: in JSON an error is its text.
func (e *ClaimedError) MarshalText() ([]byte, error) { return []byte(errtree.Text(e)), nil }
