package strategies

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-go/understudy/internal/foreign"
)

// recognise says what the shape of one error means, not what it wraps: the
// fields and methods that the SDKs of providers have in common, so that none of
// them need be imported. Package foreign reads them. Unclassified: nothing.
func recognise(err error) (Class, time.Duration) {
	if broken(err) {
		return ClassTransient, 0
	}
	switch err.(type) { //nolint:errorlint // ours say what they are by method, and have nothing else to be read
	case nil, *OpenError, *AgentError, *AnswerError, *ConfigError, *FullError, *InvalidAnswerError, *PaceError, *PanicError,
		*RecoveryError, *StreamError, *StreamLimitError, *TimeoutError, *classError:
		return ClassUnclassified, 0
	}
	if foreign.Bare(err) {
		return ClassUnclassified, 0 // most errors are, and reflection is slow
	}
	if configured(err) {
		return ClassNotFound, 0
	}
	f := foreign.Read(err)
	return judge(&f)
}

// configured says that err is a wrong setting of ours: a name that nobody has, a
// certificate that is not trusted, a scheme that the other side does not speak.
// None of them passes by waiting. A name server that is down may be back soon.
func configured(err error) bool {
	switch e := err.(type) { //nolint:errorlint // the walk unwraps
	case *net.DNSError:
		return e != nil && e.IsNotFound && !e.IsTemporary && !e.IsTimeout
	case x509.UnknownAuthorityError, x509.HostnameError, x509.CertificateInvalidError, x509.SystemRootsError, *tls.CertificateVerificationError, tls.RecordHeaderError:
		return true
	case *url.Error:
		if e == nil || e.Err == nil || !foreign.Bare(e.Err) {
			return false
		}
		text := e.Err.Error()
		return strings.HasPrefix(text, "unsupported protocol scheme") || text == "http: server gave HTTP response to HTTPS client" || text == "http: no Host in request URL"
	}
	return false
}

// broken says that err is itself the end of a connection.
func broken(err error) bool {
	switch err { //nolint:errorlint // the walk unwraps
	case io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE:
		return true
	}
	return false
}

// judge says what facts mean: codes before the status, the status before the
// text; and the text only beside an error's status, or from a client known to
// lose it.
func judge(f *foreign.Facts) (Class, time.Duration) {
	class := cmp.Or(codesClass(&f.Codes), numberClass(f.Where, f.Number), codesClass(&f.Kinds))
	coded := class != ClassUnclassified
	status := f.Status
	if status < 400 {
		status = cmp.Or(vague(&f.Codes), vague(&f.Kinds))
	}
	if !coded {
		class = cmp.Or(rpcClass(f.RPC), statusClass(status))
	}
	var text sentence
	spoken := f.Text != "" && (status >= 400 || f.RPC != "" || f.Lost || coded)
	if spoken && open(class, coded) {
		text.read(f.Text)
		class = text.refine(f, class, coded)
	}
	switch {
	case f.Daily:
		class = ClassQuotaExhausted
	case f.Blocked && (status < 500 || status == 0):
		class = ClassBlocked
	case class == ClassUnclassified && f.Late:
		class = ClassTimeout
	}
	wait := f.Wait
	if v := VerdictOf(class); wait == 0 && (v.Holds || class == ClassOverloaded) {
		if wait = f.Reset; wait == 0 && spoken {
			wait = f.WaitIn(text.lower(f.Text))
		}
	}
	return class, wait
}

// vague is the HTTP status that words stand for which say no more than such a
// status does. It counts only where there is no status: in a stream, whose own
// status was 200.
func vague(words *foreign.Words) int {
	for _, word := range words {
		if word == "" {
			break
		}
		var short [64]byte
		switch string(plainWord(&short, word)) {
		case "invalidrequesterror", "invalidrequest", "invalidargument", "badrequest", "badrequesterror", "validationexception":
			return 400
		case "apierror", "servererror", "internalerror", "internalservererror", "providerunavailable":
			return 500
		}
	}
	return 0
}

// rpcClass is the class of a gRPC code. CANCELLED is left to the caller's
// context, which knows who canceled.
func rpcClass(name string) Class {
	switch name {
	case "UNAVAILABLE", "ABORTED", "INTERNAL", "UNKNOWN", "DATA_LOSS":
		return ClassTransient
	case "DEADLINE_EXCEEDED":
		return ClassTimeout
	case "RESOURCE_EXHAUSTED":
		return ClassRateLimited
	case "PERMISSION_DENIED", "UNAUTHENTICATED":
		return ClassUnauthorized
	case "NOT_FOUND":
		return ClassNotFound
	case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS", "UNIMPLEMENTED":
		return ClassBadRequest
	}
	return ClassUnclassified
}

// statusClass is the class of an HTTP status that nothing better is known of.
func statusClass(status int) Class {
	switch status {
	case 401, 403, 407:
		return ClassUnauthorized
	case 404, 410:
		return ClassNotFound // the address of an agent names its model
	case 402:
		return ClassQuotaExhausted
	case 408, 524: // Cloudflare's: the origin had the request, and was too slow
		return ClassTimeout
	case 409, 424, 425:
		return ClassTransient
	case 420, 429:
		return ClassRateLimited
	case 446, 451: // a guardrail's; "for legal reasons"
		return ClassBlocked
	case 499: // "client closed request": the caller's context knows
		return ClassUnclassified
	case 529:
		return ClassOverloaded
	}
	switch {
	case status >= 400 && status < 500:
		return ClassBadRequest
	case status >= 500 && status < 600:
		return ClassTransient
	}
	return ClassUnclassified
}
