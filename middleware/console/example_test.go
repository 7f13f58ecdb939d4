package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// signedIn is who your own session says that a request is from.
func signedIn(r *http.Request) (name string, ok bool) {
	name, _, ok = r.BasicAuth()
	return name, ok
}

func Example() {
	fails := func(context.Context, string) (string, error) { return "", errors.New("connection reset") }
	var agents []*middleware.Owner // or a cast, whose Owners are given instead
	desk := inbox.NewDesk()
	board, err := console.New(console.Settings{
		Agents: func() []*middleware.Owner { return agents },
		Inbox:  console.Desk(desk, func(i strategies.Incident) string { return fmt.Sprint(i.Request) }),
		Who: func(r *http.Request) (console.Person, error) {
			name, ok := signedIn(r)
			if !ok {
				return console.Person{}, errors.New("nobody is signed in")
			}
			return console.Person{Name: name, Look: true, Decide: true, Control: name == "ada"}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	narrator, err := middleware.WrapFunc(fails).Named("narrator").
		CircuitBreaker(&strategies.Breaker{Failures: 1}).
		Intervene(middleware.Intervention{Ask: desk, Deadline: time.Minute}).
		Observe(board).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	agents = append(agents, narrator.Owner())
	mux := http.NewServeMux()
	mux.Handle("/console/", board)

	answers := make(chan string)
	go func() {
		answer, _ := narrator.Run(context.Background(), "Is the gate open?")
		answers <- answer
	}()
	question := <-desk.Incidents()
	// What a chat bot does, or a person by way of the page:
	r := httptest.NewRequest("POST", "/console/api/v1/questions/"+question.ID+"/decide",
		strings.NewReader(`{"action": "answer", "answer": "It is closed.", "reason": "I have looked"}`))
	r.SetBasicAuth("ada", "")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(console.Intent, "yes")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, <-answers)
	// Output: 200 It is closed.
}
