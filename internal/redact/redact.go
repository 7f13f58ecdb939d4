// Package redact takes secrets and persons out of foreign texts: see strategies.Redact,
// which is what users have of it.
//
//	text ──► cut to 4 KB ──► one pass, word by word ──► cut to 1 KB
//	                           │ a key by its prefix, a value by its name, an
//	                           │ address, a long number: "[redacted]"
//	                           ▼ all else as it is
//
// It is written by hand, and not with regexp, because each rule asks what a word looks
// like as a whole (has it digits? is it a UUID?), and because programs that log no text
// should not have to link regexp.
package redact

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	read = 4 << 10 // bytes of a text that are looked at
	keep = 1 << 10 // bytes of it that are shown

	// Redacted stands for what was taken out.
	Redacted = "[redacted]"
)

// Text returns text without what looks like a secret or a person, and bounded.
func Text(text string) string {
	whole := len(text)
	if whole > read {
		text = text[:read]
		// What the cut has halved would not be known for what it is.
		if i := strings.LastIndexAny(text, " \t\r\n"); i > read/2 {
			text = text[:i]
		} else {
			text = text[:read/2]
		}
	}
	s := scanner{text: strings.ToValidUTF8(text, "\uFFFD")}
	out := s.run()
	if len(out) <= keep && whole <= read {
		return out
	}
	cut := min(keep, len(out))
	for cut > 0 && cut < len(out) && !utf8.RuneStart(out[cut]) {
		cut--
	}
	return fmt.Sprintf("%s... (%d bytes in all)", out[:cut], whole)
}

type scanner struct {
	text string
	at   int
	out  strings.Builder
}

func (s *scanner) run() string {
	for s.at < len(s.text) {
		if end := s.secret(); end > s.at {
			s.out.WriteString(Redacted)
			s.at = end
			continue
		}
		if keep := s.plain(); keep > s.at {
			s.out.WriteString(s.text[s.at:keep])
			s.at = keep
			continue
		}
		_, n := utf8.DecodeRuneInString(s.text[s.at:])
		s.out.WriteString(s.text[s.at : s.at+n])
		s.at += n
	}
	return s.out.String()
}

// secret returns where the secret ends that begins here, or 0.
func (s *scanner) secret() int {
	rest := s.text[s.at:]
	if strings.HasPrefix(rest, "-----BEGIN ") {
		return s.at + pem(rest)
	}
	if s.at > 0 && wordy(rune(s.text[s.at-1])) && s.text[s.at-1] < utf8.RuneSelf {
		return 0 // within a word: it was looked at from its beginning
	}
	if n := phone(rest); n > 0 {
		return s.at + n
	}
	word := first(rest, wordy)
	if word == "" {
		return 0
	}
	if n := address(rest); n > 0 {
		return s.at + n
	}
	if isKey(word) || isToken(word) || isRandom(word) || isNumber(word) {
		return s.at + len(strings.TrimRight(word, "."))
	}
	return 0
}

// plain copies a word that is no secret; what it says of what follows is heeded: a
// name and its value, "Bearer" and its credential, a scheme and its user. It returns
// where to go on, with all up to there still to be written, or 0.
func (s *scanner) plain() int {
	word := first(s.text[s.at:], wordy)
	if word == "" {
		return 0
	}
	end := s.at + len(word)
	rest := s.text[end:]
	if n, long := s.named(word, rest); n > 0 {
		return s.withhold(end+n, long)
	}
	if n := credential(word, rest); n > 0 {
		s.out.WriteString(s.text[s.at : end+1])
		s.out.WriteString(Redacted)
		s.at = end + n
		return 0
	}
	if strings.HasPrefix(rest, "://") {
		host := first(rest[3:min(len(rest), 259)], func(r rune) bool { return !strings.ContainsRune("/?#\"'<> \t\r\n", r) })
		if i := strings.LastIndexByte(host, '@'); i > 0 {
			s.out.WriteString(s.text[s.at:end] + "://" + Redacted)
			s.at = end + 3 + i
			return 0
		}
	}
	if word == "base64" && strings.HasPrefix(rest, ",") {
		return s.withhold(end+1, false)
	}
	return end
}

// withhold writes up to there, and takes out the value that stands there.
func (s *scanner) withhold(from int, line bool) int {
	stop := func(r rune) bool { return !strings.ContainsRune("\\\"'`,;&]}<>) \t\r\n", r) }
	if line {
		stop = func(r rune) bool { return !strings.ContainsRune("\"'`]\r\n", r) }
	}
	value := first(s.text[from:], stop)
	if !line {
		value = strings.TrimRight(value, ":.")
	}
	if harmless(value) || strings.HasPrefix(s.text[from-1:], Redacted) {
		return from
	}
	s.out.WriteString(s.text[s.at:from])
	s.out.WriteString(Redacted)
	s.at = from + len(value)
	return 0
}

// harmless says whether a named value tells nothing: it is short, a count, or was
// taken out by somebody else.
func harmless(value string) bool {
	short := true
	for _, r := range value {
		short = short && (unicode.IsDigit(r) || r == '.')
	}
	return len(value) < 4 || short && len(value) < 9 || strings.HasPrefix(value, "[redacted") ||
		strings.EqualFold(value, "null") || strings.EqualFold(value, "true") || strings.EqualFold(value, "false") || strings.EqualFold(value, "none")
}

// named says where the value begins, counted in rest, if the word is the name of a
// secret; long says that it goes on to the end of the line.
func (s *scanner) named(word, rest string) (from int, long bool) {
	var room [40]byte
	name := normal(room[:0], word)
	query := s.at > 0 && (s.text[s.at-1] == '?' || s.text[s.at-1] == '&') && slices.Contains(queries[:], name)
	long = name == "authorization" || name == "proxyauthorization" || strings.HasSuffix(name, "cookie")
	known := long || name == "key" || query
	for _, suffix := range names {
		known = known || strings.HasSuffix(name, suffix)
	}
	if !known {
		return 0, false
	}
	i := skip(rest, 0, "\\\"'` \t")
	was := i
	for _, sign := range []string{":=", "=>", "%3D", "%3d", "=", ":"} {
		if strings.HasPrefix(rest[i:], sign) {
			i += len(sign)
			break
		}
	}
	if i == was {
		// "the password is hunter2", with nothing between.
		for _, verb := range []string{"is ", "was ", "provided: "} {
			if strings.HasPrefix(rest[i:], verb) && strings.HasPrefix(name, "pass") {
				return skip(rest, i+len(verb), "\"'` \t"), false
			}
		}
		return 0, false
	}
	if name == "key" && !query && rest[i-1] == ':' {
		return 0, false // of a map, of a sentence: it has many
	}
	return skip(rest, i, "\\\"'`[ \t"), long
}

// normal is the end of a word in small letters and without its signs.
func normal(room []byte, word string) string {
	word = word[max(0, len(word)-cap(room)):]
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c >= 'A' && c <= 'Z':
			room = append(room, c|0x20)
		case c != '-' && c != '_' && c != '.':
			room = append(room, c)
		}
	}
	return string(room)
}

func skip(s string, i int, all string) int {
	for i < len(s) && strings.IndexByte(all, s[i]) >= 0 {
		i++
	}
	return i
}

// names are how the name of a secret ends, in small letters and without its signs.
var names = [...]string{
	"apikey", "accesskey", "secretkey", "privatekey", "sessionkey", "subscriptionkey", "signingkey", "encryptionkey", "accountkey", "authkey", "masterkey",
	"token", "secret", "password", "passwd", "passphrase", "passcode", "pwd", "signature", "credential", "credentials", "accesskeyid", "sessionid", "connectionstring",
}

// queries are names that mean a secret in a URL's query only.
var queries = [...]string{"key", "sig", "code", "auth", "pass", "sas", "hmac", "jwt", "otp", "pin"}

// credential is what follows "Bearer ", counted from the end of that word; 0: nothing
// that looks like one.
func credential(word, rest string) int {
	if !strings.EqualFold(word, "bearer") && !strings.EqualFold(word, "basic") && !strings.EqualFold(word, "digest") || rest == "" || rest[0] != ' ' {
		return 0
	}
	value := first(rest[1:], func(r rune) bool { return r > ' ' && r < utf8.RuneSelf && !strings.ContainsRune("\"'`,;)]}<>", r) })
	value = strings.TrimRight(value, ".:!?")
	if len(value) < 6 || len(value) < 20 && !strings.ContainsAny(value, "0123456789+/=_*-") {
		return 0
	}
	return 1 + len(value)
}

// pem is the length of a private key, which begins here; 1 for a public one's first dash.
func pem(rest string) int {
	line, _, _ := strings.Cut(rest[len("-----BEGIN "):], "-----")
	if !strings.Contains(line, "PRIVATE") {
		return 0
	}
	if i := strings.Index(rest, "-----END "); i > 0 {
		if j := strings.Index(rest[i+len("-----END "):], "-----"); j >= 0 {
			return i + len("-----END ") + j + len("-----")
		}
	}
	return len(rest)
}

// address is the length of an e-mail address, which begins here; 0: there is none.
func address(rest string) int {
	local := first(rest[:min(len(rest), 128)], func(r rune) bool { return wordy(r) || strings.ContainsRune("%+'", r) })
	i := len(local)
	at := i + 1
	if j := strings.Index(local, "%40"); j > 0 {
		i, at = j, j+3
	}
	if i == 0 || at >= len(rest) || at == i+1 && rest[i] != '@' {
		return 0
	}
	host := strings.TrimRight(first(rest[at:], func(r rune) bool { return r == '.' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) }), ".-")
	if dot := strings.LastIndexByte(host, '.'); dot <= 0 || len(host)-dot < 3 {
		return 0
	}
	return at + len(host)
}

func first(s string, of func(rune) bool) string {
	for i, r := range s {
		if !of(r) {
			return s[:i]
		}
	}
	return s
}

// wordy are the signs that keys consist of, those included with which providers mask
// a part of one.
func wordy(r rune) bool {
	return r == '_' || r == '-' || r == '.' || r == '*' || r == '•' || r == '…' || r < utf8.RuneSelf && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') || r >= utf8.RuneSelf && r != '\uFFFD' && unicode.IsLetter(r)
}
