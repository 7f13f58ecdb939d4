package strategies

import "github.com/understudy-go/understudy/internal/redact"

// Redact returns a foreign text as it may be written to a log: without what looks like
// a secret or a person, and at most 1,024 bytes of it. Error texts come from
// providers, who quote keys, headers and requests in them.
//
//	Incorrect API key provided: sk-proj-4fGh...  ──►  Incorrect API key provided: [redacted]
//
// Taken out are keys of providers by their prefixes, bearer and basic credentials, what
// stands after a name like api_key, token, password or cookie, credentials within URLs,
// private keys, JSON web tokens, base64 data, e-mail addresses, runs of nine digits and
// more (also in groups: cards, telephones), and random-looking words of forty characters
// and more. Request ids, trace ids, UUIDs, times, sizes and counts stay: they are needed
// to ask for help.
//
// It is a net and no proof: a password that stands in a sentence like any other word
// gets through. Whoever may log no foreign text at all logs the class instead.
//
// Any text is good, also one that is no UTF-8. It reads 4 KB at most and costs tens
// of microseconds, so it is for failures. It is safe for concurrent use.
func Redact(text string) string { return redact.Text(text) }
