package nats

import (
	"encoding/hex"
	"strings"
)

// A part of a key between slashes is a token of a subject: letters, digits, "-" and "_"
// stand for themselves, any other byte is "=" and two hex digits, and "=" alone is the
// part that is empty. So any text is a subject and back.
func subjectOf(key string) string {
	var b strings.Builder
	for i, part := range strings.Split(key, "/") {
		if i > 0 {
			b.WriteByte('.')
		}
		if part == "" {
			b.WriteByte('=')
		}
		for _, c := range []byte(part) {
			if plain(c) {
				b.WriteByte(c)
			} else {
				b.WriteByte('=')
				b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
			}
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// keyOf is the way back; ok is false for what is not ours.
func keyOf(subject string) (key string, ok bool) {
	var b strings.Builder
	for i, token := range strings.Split(subject, ".") {
		if i > 0 {
			b.WriteByte('/')
		}
		if token == "=" {
			continue
		}
		for token != "" {
			if token[0] != '=' {
				b.WriteByte(token[0])
				token = token[1:]
				continue
			}
			if len(token) < 3 {
				return "", false
			}
			c, err := hex.DecodeString(token[1:3])
			if err != nil {
				return "", false
			}
			b.WriteByte(c[0])
			token = token[3:]
		}
	}
	return b.String(), true
}

// under is the narrowest filter of subjects that has all keys with a prefix.
func under(prefix string) string {
	if at := strings.LastIndexByte(prefix, '/'); at >= 0 {
		return subjectOf(prefix[:at]) + ".>"
	}
	return ">"
}
