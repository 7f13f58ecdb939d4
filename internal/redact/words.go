package redact

import (
	"strings"
)

// prefixes are how keys begin: of providers of models, and of what tools around them
// use. One that could be a word ends with a sign.
var prefixes = [...]string{
	"sk-", "sk_", "pk-", "pk_", "rk_", "rk-", "gsk_", "xai-", "pplx-", "nvapi-", "hf_", "api_org_", "r8_", "tgp_", "fw_", "csk-", "jina_", "tvly-", "pcsk_", "lsv2_", "ls__",
	"fc-", "sess-", "key-", "pa-", "AIza", "ya29.", "GOCSPX-", "AKIA", "ASIA", "ABIA", "ACCA", "ABSK", "bedrock-api-key-", "dapi", "dop_v1_", "glpat-", "gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_",
	"xoxa-", "xoxb-", "xoxc-", "xoxe-", "xoxe.", "xoxp-", "xoxr-", "xoxs-", "xapp-", "SG.", "whsec_", "shpat_", "shpss_", "npm_", "pypi-", "rpa_", "vercel_", "sbp_", "phc_", "phx_", "secret_", "ntn_", "EAAA", "bce-v3",
}

// isKey says whether a word is a provider's key: it begins like one, and what
// follows is no word of a language. A star stands for what a provider has masked.
func isKey(word string) bool {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(word, p); ok {
			rest = strings.TrimRight(rest, ".")
			c := count(rest)
			if c.masks > 0 && len(rest) >= 4 || len(rest) >= 8 && c.digits > 0 && c.letters > 0 || len(rest) >= 16 && c.upper > 0 && c.lower > 0 {
				return !uuid(rest)
			}
		}
	}
	c := count(word)
	return c.masks >= 3 && c.letters+c.digits >= 4 // of somebody we do not know, masked
}

// isToken says whether a word is a JSON web token, or the beginning of one.
func isToken(word string) bool {
	return strings.HasPrefix(word, "eyJ") && len(word) >= 16
}

// isRandom says whether a word is long and has small and capital letters and digits
// mixed as no name has.
func isRandom(word string) bool {
	for _, part := range strings.Split(word, ".") {
		c := count(part)
		if len(part) >= 40 && c.upper >= 4 && c.lower >= 4 && c.digits >= 2 && c.turns*5 >= len(part) {
			return true
		}
	}
	return false
}

// isNumber says whether a word has nine digits or more in a row, and is none of the
// ids that one asks for help with.
func isNumber(word string) bool {
	if uuid(word) || hex(word) {
		return false
	}
	run, most, letters := 0, 0, 0
	for i := 0; i < len(word); i++ {
		if digit(word[i]) {
			run++
			most = max(most, run)
			continue
		}
		run = 0
		if c := word[i] | 0x20; c >= 'a' && c <= 'z' {
			letters++
		}
	}
	return most >= 9 && letters <= 4 // more of them: an id
}

// phone is the length of a number in groups: a telephone, a card, a social security
// number; 0: there is none here.
func phone(s string) int {
	i, plus := 0, false
	if strings.HasPrefix(s, "+") {
		i, plus = 1, true
	} else if strings.HasPrefix(s, "(") {
		i = 1
	}
	start, total, end := i, 0, 0
	var groups []int
	for i < len(s) && len(groups) < 12 {
		n := 0
		for i+n < len(s) && digit(s[i+n]) {
			n++
		}
		if n == 0 {
			break
		}
		groups = append(groups, n)
		total += n
		i += n
		end = i
		if i < len(s) && s[i] == ')' {
			i++
		}
		if i < len(s) && (s[i] == ' ' || s[i] == '-' || s[i] == '/' || s[i] == '.') {
			i++
		} else if s[i-1] != ')' {
			break
		}
		if i < len(s) && s[i] == '(' {
			i++
		}
	}
	if end == 0 || end < len(s) && (s[end] == ':' || s[end] == '%') || strings.HasSuffix(s[:end], ".") {
		return 0 // a time of the day, a share
	}
	if len(groups) < 2 {
		if plus && total >= 8 {
			return end
		}
		return 0
	}
	short := true // groups as people write them
	for _, n := range groups {
		short = short && n >= 2 && n <= 8
	}
	switch {
	case plus && total >= 8, s[:start] == "(" && total >= 8:
		return end
	case short && total >= 12 && !strings.Contains(s[:end], "."):
		return end
	case shape(groups, 3, 3, 4), shape(groups, 3, 2, 4):
		return end
	}
	return 0
}

func shape(groups []int, want ...int) bool {
	if len(groups) != len(want) {
		return false
	}
	for i, n := range want {
		if groups[i] != n {
			return false
		}
	}
	return true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// uuid says whether a word is one: an id to ask for help with.
func uuid(word string) bool {
	if len(word) != 36 {
		return false
	}
	for i := 0; i < len(word); i++ {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (word[i] == '-') || !dash && !hexDigit(word[i]) {
			return false
		}
	}
	return true
}

// hex says whether a word is a trace's id or a hash.
func hex(word string) bool {
	letters := false
	for i := 0; i < len(word); i++ {
		if !hexDigit(word[i]) {
			return false
		}
		letters = letters || !digit(word[i])
	}
	return letters && len(word) >= 16
}

func hexDigit(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

type counts struct{ upper, lower, letters, digits, masks, turns int }

// count says of what a word consists; turns are changes from one kind to another.
func count(word string) (c counts) {
	last := rune(0)
	for _, r := range word {
		kind := rune(0)
		switch {
		case r >= 'a' && r <= 'z':
			c.lower++
			kind = 'a'
		case r >= 'A' && r <= 'Z':
			c.upper++
			kind = 'A'
		case r >= '0' && r <= '9':
			c.digits++
			kind = '0'
		case r == '*' || r == '•' || r == '…':
			c.masks++
		}
		if kind != last {
			c.turns++
		}
		last = kind
	}
	c.letters = c.upper + c.lower
	return c
}
