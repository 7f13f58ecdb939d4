package translate

import (
	"fmt"
	"slices"
	"strings"
)

// word says whether a name is made of letters, digits, _ and -, and of what else
// is allowed.
func word(name, also string) bool {
	for _, r := range name {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' || strings.ContainsRune(also, r)) {
			return false
		}
	}
	return name != ""
}

// plainName is how tools may be called with OpenAI and Anthropic.
func plainName(name string) string {
	if !word(name, "") || len(name) > 64 {
		return "call it by at most 64 letters, digits, _ and -"
	}
	return ""
}

// geminiName is how tools may be called with Gemini.
func geminiName(name string) string {
	if !word(name, ".:") || len(name) > 64 || strings.ContainsRune("0123456789-.:", rune(name[0])) {
		return "call it by at most 64 letters, digits and _ - . : that begin with a letter or _"
	}
	return ""
}

// checkTools names a tool that the other provider would refuse. It is not renamed:
// the answer would call it by a name that nobody knows.
func checkTools(tools []tool, fix func(name string) string, p *problem) {
	for i, t := range tools {
		if f := fix(t.name); f != "" {
			p.say(fmt.Sprintf("tool %d", i), "is called "+quote(t.name), f)
		}
		if t.schema != nil && looseObject(t.schema) == nil {
			p.say(fmt.Sprintf("the schema of tool %s", quote(t.name)), "is no JSON object", "send a JSON schema")
		}
	}
}

// checkPictures names a picture that OpenAI and Anthropic do not read.
func checkPictures(turns []turn, p *problem) {
	for _, t := range turns {
		for _, one := range t.parts {
			for _, c := range append([]part{one}, one.content...) {
				if c.kind == picture {
					checkPicture(c.image, p)
				}
			}
		}
	}
}

func checkPicture(i image, p *problem) {
	known := []string{"image/jpeg", "image/png", "image/gif", "image/webp"}
	switch {
	case i.url == "" && !slices.Contains(known, i.mime):
		p.say("a picture", "is of type "+quote(i.mime), "send a JPEG, PNG, GIF or WebP")
	case i.url != "" && !strings.HasPrefix(i.url, "https://") && !strings.HasPrefix(i.url, "http://"):
		p.say("a picture", "is at an address that only its own provider can read, "+quote(i.url), "send the picture itself")
	}
}
