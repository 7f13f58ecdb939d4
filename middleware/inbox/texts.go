package inbox

// MarshalText writes what Error returns: in JSON an error is its text.
func (e *ClosedError) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// MarshalText writes what Error returns: in JSON an error is its text.
func (e *ClaimedError) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }
