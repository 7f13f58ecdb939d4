package foreign

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The body of an error is read by a scanner of our own, for three reasons: a
// body that was cut still says what stood in its first half, nothing is built
// that is thrown away again, and only what stands under a known key is read, so
// that an answer or a request that an error quotes is never taken for its word.

// maxNest is how deep a body is followed: objects in objects, and JSON in the
// strings of JSON, as gateways send what another gateway sent.
const maxNest = 12

// body reads what a server sent: JSON in any of the usual forms, a sentence, or
// a page, which says nothing to a program.
func (f *Facts) body(data string) {
	if len(data) > maxBody {
		return
	}
	f.say(data, 0)
	f.Lost = f.Lost || f.erred
}

// say takes note of a text for people. JSON within it is read as such.
func (f *Facts) say(text string, depth int) {
	text = strings.TrimSpace(text)
	if depth > maxNest || text == "" || page(text) {
		return
	}
	if text[0] == '"' {
		s := scanner{data: text}
		if word, ok := s.text(); ok && s.i == len(text) {
			f.say(word, depth+1)
			return
		}
	}
	if strings.IndexByte(text, '{') < 0 && strings.IndexByte(text, '[') < 0 {
		f.plain(text)
		return
	}
	for at := 0; at < len(text); at++ {
		next := strings.IndexAny(text[at:], "{[")
		if next < 0 {
			break
		}
		at += next
		if !opens(text[at:]) {
			continue
		}
		s := scanner{data: text, i: at}
		f.read(&s, place{}, depth+1)
		f.plain(text[:at])
		f.plain(text[s.i:])
		return
	}
	f.plain(text)
}

// opens says whether JSON may begin here.
func opens(text string) bool {
	rest := strings.TrimLeft(text[1:min(len(text), 64)], " \t\r\n")
	return rest == "" || rest[0] == '"' || text[0] == '[' && (rest[0] == '{' || rest[0] == '[')
}

// page says whether a text is a page for people, whatever stands before it.
func page(text string) bool {
	head := text[:min(len(text), 512)]
	for i := strings.IndexByte(head, '<'); i >= 0 && i < len(head); i++ {
		next := strings.IndexByte(head[i:], '<')
		if next < 0 {
			return false
		}
		i += next
		for _, tag := range [...]string{"<!doctype", "<html", "<head", "<body", "<?xml"} {
			if len(head)-i >= len(tag) && strings.EqualFold(head[i:i+len(tag)], tag) {
				return true
			}
		}
	}
	return false
}

func (f *Facts) plain(text string) {
	text = strings.TrimSpace(text)
	switch {
	case text == "" || strings.Contains(f.Text, text):
	case f.Text == "":
		f.Text = text[:min(len(text), maxText)]
	case len(f.Text) < maxText:
		f.Text += "\n" + text[:min(len(text), maxText-len(f.Text))]
	}
}

// place is where a value stands: its key, and the key of what it stands in.
type place struct{ key, in string }

// read reads the value at which s stands.
func (f *Facts) read(s *scanner, at place, depth int) {
	switch s.next() {
	case '{':
		s.i++
		if depth > maxNest || !container(at.key) {
			s.skip(1)
			return
		}
		for s.next() == '"' {
			key, ok := s.text()
			if !ok || s.next() != ':' {
				s.end()
				return
			}
			s.i++
			in := at.key
			if in == "" {
				in = at.in
			}
			to := place{lower(key), in}
			switch c := s.next(); {
			case (to.key == "error" || to.key == "last_error") && (c == '{' || c == '"'):
				f.erred = true
			case to.key == "details" && in == "" && c == '[' && f.Where == "" && f.Number > 0 && f.Number < len(rpcNames):
				f.RPC = cmp.Or(f.RPC, rpcNames[f.Number]) // a google.rpc.Status as JSON
			}
			f.read(s, to, depth+1)
			if s.next() == ',' {
				s.i++
			}
		}
		s.close('}')
	case '[':
		s.i++
		for c := s.next(); c != ']' && c != 0; c = s.next() {
			if depth > maxNest {
				s.skip(1)
				return
			}
			before := s.i
			f.read(s, at, depth+1)
			if s.next() == ',' {
				s.i++
			}
			if s.i == before {
				s.end()
				return
			}
		}
		s.close(']')
	case '"':
		if value, ok := s.text(); ok {
			f.word(at, value, depth)
		}
	case 0:
	default:
		f.number(at, s.lexeme())
	}
}

// container says whether what stands under a key is the server's own word. What
// is under another, such as choices, input or content, is somebody else's.
func container(key string) bool {
	switch key {
	case "error", "errors", "response", "detail", "details", "innererror", "metadata", "headers", "base_resp", "fault", "violations",
		"promptfeedback", "message", "external_model_error", "cause", "data_error", "last_error", "status", "status_details", "header", "":
		return true
	}
	return false
}

// word takes note of a string under a key.
func (f *Facts) word(at place, value string, depth int) {
	switch at.key {
	case "message", "msg", "error", "errors", "detail", "details", "error_msg", "error_message", "errormessage", "err_msg", "errmsg", "status_msg", "title",
		"faultstring", "raw", "description", "error_description":
		if at.key == "error" || at.key == "title" || at.key == "message" {
			f.named(value)
		}
		f.say(value, depth)
	case "code", "error_code", "errorcode", "err_code", "errcode", "error_name", "reason", "__type":
		if at.key == "reason" && at.in == "error" && strings.Contains(value, " ") {
			f.say(value, depth) // Elasticsearch's sentence
			return
		}
		f.setCode(value, at)
	case "type", "error_type":
		f.setKind(value)
	case "status":
		name := rpcName(value)
		f.RPC = cmp.Or(f.RPC, name)
		f.setStatus(value)
		if name == "" && (at.in == "detail" || at.in == "error") {
			f.named(value) // ElevenLabs' place for the code
		}
	case "http_code", "status_code", "statuscode", "raw_status_code":
		f.setStatus(value)
	case "quotaid", "quota_id":
		f.setQuota(value)
	case "blockreason":
		f.Blocked = f.Blocked || value != ""
	case "flagged_input":
		f.Blocked = true
	default:
		f.delay(at.key, value)
	}
}

// named takes a lone word in the place of a sentence for the code it is:
// {"error":"invalid_api_key"}.
func (f *Facts) named(value string) {
	if len(value) <= 64 && strings.ContainsRune(value, '_') && !strings.ContainsAny(value, " \t\n{'\"") {
		f.addCode(&f.Codes, value)
	}
}

// number takes note of a number under a key; true, false and null come here too,
// and null says nothing.
func (f *Facts) number(at place, lexeme string) {
	if lexeme == "null" {
		return
	}
	switch at.key {
	case "code", "error_code", "errorcode", "err_code", "errcode", "status":
		f.setCode(lexeme, at)
	case "grpccode":
		if n, err := strconv.Atoi(lexeme); err == nil && n > 0 && n < len(rpcNames) {
			f.RPC = cmp.Or(f.RPC, rpcNames[n])
		}
	case "status_code", "statuscode", "http_code", "raw_status_code":
		if at.in == "base_resp" {
			f.setCode(lexeme, at)
		}
		f.setStatus(lexeme)
	default:
		f.delay(at.key, lexeme)
	}
}

// scanner walks through JSON text, and through the first half of one. What it
// cannot read it leaves; it never reads beyond the end.
type scanner struct {
	data string
	i    int
}

// next skips white space and returns the byte after it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.i < len(s.data); s.i++ {
		if c := s.data[s.i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
	}
	return 0
}

func (s *scanner) end() { s.i = len(s.data) }

func (s *scanner) close(c byte) {
	if s.next() == c {
		s.i++
	} else {
		s.end()
	}
}

// skip goes to behind the end of what is open.
func (s *scanner) skip(open int) {
	for open > 0 && s.i < len(s.data) {
		switch s.data[s.i] {
		case '{', '[':
			open++
		case '}', ']':
			open--
		case '"':
			if _, ok := s.text(); !ok {
				return
			}
			continue
		}
		s.i++
	}
}

// text reads a string; ok is false if it has no end, for half a sentence may
// mean the opposite of the whole.
func (s *scanner) text() (string, bool) {
	start, escaped := s.i+1, false
	if n := strings.IndexByte(s.data[start:], '"'); n >= 0 && strings.IndexByte(s.data[start:start+n], '\\') < 0 {
		s.i = start + n + 1
		return s.data[start : start+n], true // as most are
	}
	for i := start; i < len(s.data); i++ {
		switch s.data[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			s.i = i + 1
			if !escaped {
				return s.data[start:i], true
			}
			return unescape(s.data[start:i]), true
		}
	}
	s.end()
	return "", false
}

func (s *scanner) lexeme() string {
	start := s.i
	for s.i < len(s.data) && strings.IndexByte(",:]}[{\" \t\r\n", s.data[s.i]) < 0 {
		s.i++
	}
	if s.i == start {
		s.end() // nothing that JSON has here
		return ""
	}
	return s.data[start:s.i]
}

// unescape is lenient: an escape that JSON does not have stands for its letter.
func unescape(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch c := text[i]; c {
		case 'n', 'r', 't', 'b', 'f':
			b.WriteByte(' ')
		case 'u':
			if n, err := strconv.ParseUint(text[i+1:min(i+5, len(text))], 16, 16); err == nil && i+5 <= len(text) {
				b.WriteRune(rune(n))
				i += 4
			}
		default:
			b.WriteByte(c)
		}
	}
	if s := b.String(); utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// lower is strings.ToLower without its price for what is low already.
func lower(text string) string {
	for i := range len(text) {
		if c := text[i]; c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf {
			return strings.ToLower(text)
		}
	}
	return text
}
