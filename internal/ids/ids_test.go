package ids_test

import (
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/ids"
)

var version7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNew(t *testing.T) {
	t.Run("it is a UUID of version 7 whose first part is the time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.UnixMilli(0x01932c07209c))) // the bubble begins in 2000
			id := ids.New()
			if !version7.MatchString(id) || id[:13] != "01932c07-209c" {
				t.Errorf("got %s", id)
			}
		})
	})
	t.Run("later ones sort behind earlier ones", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			before := ids.New()
			for range 1000 {
				time.Sleep(time.Millisecond)
				if id := ids.New(); id <= before {
					t.Fatalf("%s came after %s", id, before)
				} else {
					before = id
				}
			}
		})
	})
	t.Run("no two are the same, whoever makes them at once", func(t *testing.T) {
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]bool{}
		for range 8 {
			all.Go(func() {
				for range 5000 {
					id := ids.New()
					mu.Lock()
					if seen[id] {
						t.Errorf("%s came twice", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			})
		}
		all.Wait()
	})
}
