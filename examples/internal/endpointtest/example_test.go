package endpointtest_test

import (
	"context"
	"fmt"

	"github.com/understudy-go/understudy/internal/endpoint"
)

func Example() {
	srv, err := endpoint.Start(endpoint.Plan{
		Seed:   7,
		Script: map[string][]endpoint.Fault{"narrator": {endpoint.Overloaded(), endpoint.CutAfter(3)}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()

	provider := client(srv)
	for range 3 {
		got := listen(context.Background(), provider, ask("narrator", "I knock twice"))
		fmt.Printf("%q %v\n", got.text, got.err)
	}
	for _, entry := range srv.Log() {
		fmt.Println(entry.Model, entry.N, entry.Fault)
	}
	// Output:
	// "" OpenAI API error: 503 Service Unavailable
	// "Somewhere above, a " unexpected EOF
	// "Somewhere above, a floorboard creaks. You say: \"I knock twice\" Nobody answers, but one chair is pushed back." <nil>
	// narrator 1 overloaded
	// narrator 2 cut-after(3)
	// narrator 3 ok
}
