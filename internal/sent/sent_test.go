package sent_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/internal/sent"
)

func TestBody(t *testing.T) {
	asked, err := http.NewRequest(http.MethodPost, "http://localhost", strings.NewReader(`{"as":"sent"}`))
	if err != nil {
		t.Fatal(err)
	}
	params := map[string]string{"as": "given"}
	for it, tc := range map[string]struct {
		resp *http.Response
		want string
	}{
		"what was sent":        {&http.Response{Request: asked}, `{"as":"sent"}`},
		"no response":          {nil, `{"as":"given"}`},
		"one without requests": {&http.Response{}, `{"as":"given"}`},
		"nothing kept":         {&http.Response{Request: &http.Request{}}, `{"as":"given"}`},
	} {
		if got := string(sent.Body(tc.resp, params)); got != tc.want {
			t.Errorf("%s: %s", it, got)
		}
	}
}
