package strategies_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// What was asked may be a secret, or nothing that JSON knows: it is not written.
func TestAnIncidentInJSONHasNoRequest(t *testing.T) {
	i := strategies.Incident{
		ID: "i1", Agent: "bard", Request: make(chan int), Requests: map[string]any{"sage": "the password"}, Agents: []string{"sage"},
		Err:      &strategies.RecoveryError{Agent: "bard", Class: strategies.ClassTimeout, Attempts: []strategies.Attempt{{Agent: "bard", Class: strategies.ClassTimeout, Err: errors.New("slow")}}},
		ShutFor:  90 * time.Second,
		Deadline: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
	}
	text, err := json.Marshal(i)
	if err != nil || strings.Contains(string(text), "password") {
		t.Fatalf("%s, %v", text, err)
	}
	want := `{"id":"i1","agent":"bard","deadline":"2026-05-04T03:02:01Z","shut_for":"1m30s","agents":["sage"],` +
		`"failure":{"agent":"bard","strategy":"none","class":"timeout","attempts":[{"agent":"bard","class":"timeout","error":"slow"}]}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
