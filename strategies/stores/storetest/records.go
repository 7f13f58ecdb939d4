package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

var recordChecks = []Check{
	{"what was put is read", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		_, err := s.Get(ctx, "a")
		fails(t, "Get of nothing", err, strategies.ErrNotFound)
		value := make([]byte, 256)
		for i := range value {
			value[i] = byte(i)
		}
		has(ctx, t, s, put(ctx, t, s, strategies.Write{Key: "a", Value: value}))
	}},
	{"an empty value is a value", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		has(ctx, t, s, put(ctx, t, s, strategies.Write{Key: "nil"}))
		has(ctx, t, s, put(ctx, t, s, strategies.Write{Key: "empty", Value: []byte{}}))
		lists(ctx, t, s, "", "empty", "nil")
	}},
	{"to create twice is a conflict", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		first := create(ctx, t, s, "a", "1")
		_, err := s.Put(ctx, strategies.Write{Key: "a", Value: []byte("2")})
		fails(t, "the second creation", err, strategies.ErrConflict)
		has(ctx, t, s, first)
	}},
	{"only the expected revision is replaced", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		first := create(ctx, t, s, "a", "1")
		second := put(ctx, t, s, strategies.Write{Key: "a", Value: []byte("2"), Revision: first.Revision})
		for _, wrong := range []uint64{0, first.Revision, second.Revision + 1, 1 << 62} {
			_, err := s.Put(ctx, strategies.Write{Key: "a", Value: []byte("3"), Revision: wrong})
			fails(t, fmt.Sprintf("Put expecting %d of %d", wrong, second.Revision), err, strategies.ErrConflict)
		}
		has(ctx, t, s, second)
		_, err := s.Put(ctx, strategies.Write{Key: "b", Revision: second.Revision})
		fails(t, "Put expecting a revision of nothing", err, strategies.ErrConflict)
		_, err = s.Get(ctx, "b")
		fails(t, "Get after a conflict", err, strategies.ErrNotFound)
	}},
	{"whoever does not care writes whatever is there", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		var last strategies.Record
		for i := range 3 {
			last = put(ctx, t, s, strategies.Write{Key: "a", Value: fmt.Append(nil, i), Revision: strategies.AnyRevision})
			has(ctx, t, s, last)
		}
		if err := s.Delete(ctx, "a", strategies.AnyRevision); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		has(ctx, t, s, put(ctx, t, s, strategies.Write{Key: "a", Revision: strategies.AnyRevision}))
	}},
	{"revisions of a key grow, also over its deletion", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		last := uint64(0)
		for range 5 {
			r := create(ctx, t, s, "a", "")
			r2 := put(ctx, t, s, strategies.Write{Key: "a", Value: []byte("2"), Revision: r.Revision})
			if r.Revision <= last || r2.Revision <= r.Revision {
				t.Fatalf("revisions %d, %d, %d do not grow", last, r.Revision, r2.Revision)
			}
			last = r2.Revision
			create(ctx, t, s, fmt.Sprint("other", r2.Revision), "")
			if err := s.Delete(ctx, "a", last); err != nil {
				t.Fatalf("Delete(%d): %v", last, err)
			}
		}
	}},
	{"only the expected revision is deleted", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		fails(t, "Delete of nothing", s.Delete(ctx, "a", 1), strategies.ErrNotFound)
		fails(t, "Delete of any of nothing", s.Delete(ctx, "a", strategies.AnyRevision), strategies.ErrNotFound)
		first := create(ctx, t, s, "a", "1")
		second := put(ctx, t, s, strategies.Write{Key: "a", Value: []byte("2"), Revision: first.Revision})
		for _, wrong := range []uint64{0, first.Revision, second.Revision + 1} {
			fails(t, fmt.Sprintf("Delete expecting %d of %d", wrong, second.Revision), s.Delete(ctx, "a", wrong), strategies.ErrConflict)
		}
		has(ctx, t, s, second)
		if err := s.Delete(ctx, "a", second.Revision); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		_, err := s.Get(ctx, "a")
		fails(t, "Get after Delete", err, strategies.ErrNotFound)
		fails(t, "a second Delete", s.Delete(ctx, "a", second.Revision), strategies.ErrNotFound)
		_, err = s.Put(ctx, strategies.Write{Key: "a", Revision: second.Revision})
		fails(t, "Put expecting what was deleted", err, strategies.ErrConflict)
		lists(ctx, t, s, "")
		has(ctx, t, s, create(ctx, t, s, "a", "3"))
	}},
	{"nobody's slice is kept", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		value := []byte("mine")
		want := create(ctx, t, s, "a", "mine")
		put(ctx, t, s, strategies.Write{Key: "b", Value: value})
		copy(value, "xxxx")
		for range 2 {
			r, err := s.Get(ctx, "b")
			if err != nil || string(r.Value) != "mine" {
				t.Fatalf("Get: %q, %v", r.Value, err)
			}
			copy(r.Value, "yyyy")
		}
		all, err := s.List(ctx, "")
		if err != nil || len(all) != 2 {
			t.Fatalf("List: %d records, %v", len(all), err)
		}
		copy(all[0].Value, "zzzz")
		has(ctx, t, s, want)
	}},
	{"any text is a key", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		var all []strategies.Record
		for i, key := range oddKeys {
			all = append(all, create(ctx, t, s, key, fmt.Sprint(i)))
		}
		slices.SortFunc(all, func(a, b strategies.Record) int { return strings.Compare(a.Key, b.Key) })
		for _, r := range all {
			has(ctx, t, s, r)
		}
		for _, prefix := range append([]string{""}, oddKeys...) {
			for cut := range prefix + "-" { // at every letter
				under(ctx, t, s, prefix[:cut], all)
			}
			under(ctx, t, s, prefix, all)
		}
		for _, r := range all {
			if err := s.Delete(ctx, r.Key, r.Revision); err != nil {
				t.Fatalf("Delete(%q): %v", short(r.Key), err)
			}
		}
		lists(ctx, t, s, "")
	}},
	{"a key that is none is refused", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		for key, want := range map[string]error{
			"":        strategies.ErrConfig,
			"a\xff":   strategies.ErrConfig,
			"a\xc3":   strategies.ErrConfig,
			tooLong(): strategies.ErrTooLarge,
		} {
			_, err := s.Put(ctx, strategies.Write{Key: key, Revision: strategies.AnyRevision})
			fails(t, fmt.Sprintf("Put(%q)", short(key)), err, want)
			_, err = s.Get(ctx, key)
			fails(t, fmt.Sprintf("Get(%q)", short(key)), err, want)
			fails(t, fmt.Sprintf("Delete(%q)", short(key)), s.Delete(ctx, key, strategies.AnyRevision), want)
			if key == "" {
				continue // it is a prefix
			}
			_, err = s.List(ctx, key)
			fails(t, fmt.Sprintf("List(%q)", short(key)), err, want)
			_, err = s.Watch(ctx, key)
			fails(t, fmt.Sprintf("Watch(%q)", short(key)), err, want)
		}
		lists(ctx, t, s, "")
	}},
	{"values are large, up to the limit", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		value := bytes.Repeat([]byte("0123456789abcdef"), strategies.MaxStoreValue/16)
		r := put(ctx, t, s, strategies.Write{Key: "a", Value: value})
		has(ctx, t, s, r)
		_, err := s.Put(ctx, strategies.Write{Key: "a", Value: append(value, 'x'), Revision: r.Revision})
		fails(t, "a value one byte too large", err, strategies.ErrTooLarge)
		has(ctx, t, s, r)
		for i := range 8 { // a list is larger than a message of anybody's
			put(ctx, t, s, strategies.Write{Key: fmt.Sprint("big", i), Value: value})
		}
		all, err := s.List(ctx, "big")
		if err != nil || len(all) != 8 {
			t.Fatalf("List: %d records, %v", len(all), err)
		}
		for _, r := range all {
			if !bytes.Equal(r.Value, value) {
				t.Fatalf("%s has lost something of its value", r.Key)
			}
		}
	}},
	{"a list is in the order of keys, and of its prefix alone", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		for _, key := range []string{"b/2", "b", "a", "b/10", "b/1", "B", "ba", "b-1", "c"} {
			create(ctx, t, s, key, key)
		}
		lists(ctx, t, s, "", "B", "a", "b", "b-1", "b/1", "b/10", "b/2", "ba", "c")
		lists(ctx, t, s, "b", "b", "b-1", "b/1", "b/10", "b/2", "ba")
		lists(ctx, t, s, "b/", "b/1", "b/10", "b/2")
		lists(ctx, t, s, "b/1", "b/1", "b/10")
		lists(ctx, t, s, "b/10", "b/10")
		lists(ctx, t, s, "b/10/")
		lists(ctx, t, s, "d")
	}},
	{"many records are listed whole", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		const n = 2500
		parallel(t, 16, func(g int) error {
			for i := g; i < n; i += 16 {
				if _, err := s.Put(ctx, strategies.Write{Key: fmt.Sprintf("many/%05d", i), Value: fmt.Append(nil, i)}); err != nil {
					return err
				}
			}
			return nil
		})
		all, err := s.List(ctx, "many/")
		if err != nil || len(all) != n {
			t.Fatalf("List: %d records of %d, %v", len(all), n, err)
		}
		for i, r := range all {
			if r.Key != fmt.Sprintf("many/%05d", i) || string(r.Value) != fmt.Sprint(i) {
				t.Fatalf("record %d is %s", i, shown(r))
			}
		}
		w := watch(ctx, t, s, "many/")
		w.until("all of them", func() bool { return w.marks == 1 })
		if len(w.there) != n {
			t.Fatalf("the watch told %d records of %d before its mark", len(w.there), n)
		}
	}},
}

var oddKeys = []string{
	"a b", " ", "  lead", "trail  ", "tab\there", "line\nbreak", "\r", "\x00", "nul\x00in", "\x00/\x00", "\x7f",
	"/", "//", "a/", "/a", "a//b", "a/b/c", "./..", "..", ".", "a.b", ".a", "a.", "a..b", "-", "_", "=", "==", "=41", "A=", "%2F", "%",
	"*", ">", "a.*", "a.>", "a/*", "a/>", "[a-z]", "?", "a?b", "\\", "\\*", "a\\_b", "a_b", "a%b", "^", "$", "$KV.x", "{a}", "{", "}", "'", "\"", "';--", "`",
	"grüße", "Grüße", "gru\u0308ße", "日本語", "日本", "🎭/🎭", "\u00ff", "\u07ff", "\uffff", "\U0010ffff", "a\U0010ffffb", "\ufeff",
	"case", "CASE", "Case", "0", "00", "nil", "null", "true", "lease/narrator", "lease/narrator/2", "lease",
	strings.Repeat("k", strategies.MaxStoreKey), strings.Repeat("*", strategies.MaxStoreKey), strings.Repeat("/", strategies.MaxStoreKey),
	strings.Repeat("ü", strategies.MaxStoreKey/2), strings.Repeat("k", strategies.MaxStoreKey-1),
}

func tooLong() string { return strings.Repeat("k", strategies.MaxStoreKey+1) }

// under wants a list to hold what begins with a prefix.
func under(ctx context.Context, t testing.TB, s strategies.Store, prefix string, of []strategies.Record) {
	t.Helper()
	if len(prefix) > 24 && len(prefix)%97 != 0 {
		return // enough of them
	}
	var want []string
	for _, r := range of {
		if strings.HasPrefix(r.Key, prefix) {
			want = append(want, r.Key)
		}
	}
	lists(ctx, t, s, prefix, want...)
}

func short(key string) string {
	if len(key) > 40 {
		return fmt.Sprintf("%s... (%d bytes)", key[:40], len(key))
	}
	return key
}

func shown(r strategies.Record) string {
	value := r.Value
	if len(value) > 40 {
		value = value[:40]
	}
	return fmt.Sprintf("{%q: %q (%d bytes), revision %d, expires %v}", short(r.Key), value, len(r.Value), r.Revision, r.Expires)
}
