package strategies

import (
	"strings"

	"github.com/understudy-go/understudy/internal/foreign"
)

// The tables below are the providers' vocabulary of codes. A code is a contract,
// but every provider has its own spelling: RateLimitReached,
// rpm_rate_limit_exceeded, Throttling.RateQuota. So a code is compared by the
// words in it, without its case and its joints.

// plainWord is a code without upper case and joints: "rate_limit" and
// "RateLimit" are "ratelimit".
func plainWord(short *[64]byte, code string) []byte {
	if len(code) > len(short) {
		code = code[:len(short)]
	}
	n := 0
	for i := range len(code) {
		switch c := code[i]; {
		case c >= 'A' && c <= 'Z':
			short[n] = c + 'a' - 'A'
			n++
		case c == '_' || c == '-' || c == ' ' || c == '.' || c == ':' || c == '/':
		default:
			short[n] = c
			n++
		}
	}
	return short[:n]
}

// codesClass is the class of the first code that says one. The vague ones
// ("server_error") are in [vague]: the HTTP status knows more than they do. Google
// calls a model without capacity a rate limit first, so that one may be corrected.
func codesClass(codes *foreign.Words) Class {
	class := ClassUnclassified
	for _, code := range codes {
		if code == "" {
			break
		}
		var short [64]byte
		c := codeClass(string(plainWord(&short, code)))
		if class == ClassUnclassified {
			class = c
		}
		if class != ClassUnclassified && class != ClassRateLimited || c == ClassOverloaded {
			return c
		}
	}
	return class
}

// codeClass is the class of a code, as plainWord makes it.
func codeClass(code string) Class {
	switch code { // what is sent most, and says nothing or one thing
	case "invalidrequesterror", "servererror", "apierror", "error", "tokens", "requests":
		return ClassUnclassified
	case "ratelimitexceeded", "ratelimiterror":
		return ClassRateLimited
	case "contextlengthexceeded":
		return ClassContextOverflow
	}
	switch code { // what the words in it would say wrong
	case "serviceunavailableerror", "serverisoverloaded", "slowdown", "flexunavailable", "modelunavailable":
		return ClassOverloaded
	case "tokenquotaexceeded", "requestquotaexceeded", "throttlingallocationquota":
		return ClassRateLimited // Cerebras and Alibaba: a quota by the minute
	case "setlimitexceeded", "creditlimit", "tokenquotareached", "invalidsubscription", "resourceexhaustedquota":
		return ClassQuotaExhausted
	case "tokenlimit", "tokenslimitreached", "tokenstoolong", "characterstoolong", "maxtokensperrequest", "modelmaxprompttokensexceeded":
		return ClassContextOverflow
	case "invalidprompt", "refusal", "hooksfailed", "cyberpolicy", "biopolicy":
		return ClassBlocked // OpenAI's invalid_prompt is "flagged as violating our usage policy"
	case "toolusefailed", "jsonvalidatefailed", "outputparsefailed":
		return ClassInvalidAnswer
	case "noaccess", "notfounderror", "notfound", "resourcedoesnotexist", "resourcenotfound", "resourcenotfounderror",
		"resourcenotfoundexception", "invalidparametervaluemodel", "endpointnotfound", "deploymentnotfound", "unavailablemodel":
		return ClassNotFound
	case "requesttoolarge", "stringabovemaxlength", "unknownparameter", "previousresponsenotfound":
		return ClassBadRequest
	case "modelnotreadyexception", "modelerrorexception", "modelstreamerrorexception":
		return ClassTransient // Amazon sends them as 4xx
	}
	switch {
	case anyOf(code, "timeout", "timedout"):
		return ClassTimeout
	case anyOf(code, "overload", "capacity", "busy", "queuefull", "queueexceeded"):
		return ClassOverloaded
	case anyOf(code, "contextlength", "contextwindow", "contextsize", "contextlimit", "prompttoolong", "inputtoolong"):
		return ClassContextOverflow
	case anyOf(code, "ratelimit", "throttl", "toomanyrequests", "requestlimitexceeded", "limitrequests", "limittokens", "concurrencylimit"):
		return ClassRateLimited
	case anyOf(code, "insufficient", "notenough", "outof", "negative", "depleted", "exhausted", "toolow", "nousable") && anyOf(code, "quota", "balance", "credit", "fund"):
		return ClassQuotaExhausted
	case anyOf(code, "quotaexceeded", "exceededquota", "currentquota", "quotaexhausted", "billing", "arrear",
		"insufficientbalance", "creditbalance", "overdue", "paymentrequired", "budgetexceeded", "exceededbudget", "overbudget",
		"spendlimit", "spendinglimit", "usagelimit", "dailylimit", "monthlylimit", "freetieronly", "packexhausted"):
		return ClassQuotaExhausted
	case anyOf(code, "contentfilter", "contentpolicy", "policyviolation", "moderation", "sensitivecontent", "datainspection", "riskdetection", "guardrail",
		"responsibleai", "safetyviolation", "contentblocked", "contentviolation", "censor", "promptthreat", "promptinjection", "jailbreak", "prohibitedcontent"),
		anyOf(code, "safety", "unsafe") && !anyOf(code, "identifier", "setting"): // both are parameters, too
		return ClassBlocked
	case strings.Contains(code, "model") && anyOf(code, "notfound", "notavailable", "notsupported", "unsupported", "decommission", "deactivat", "deprecat",
		"retired", "permission", "terms", "access", "notopen", "notexist", "invalidmodel", "nomodel", "unknown", "disabled"):
		return ClassNotFound
	case anyOf(code, "apikey", "authentication", "unauthorized", "unauthenticated", "authfailure", "accessdenied", "permission", "iamtoken", "invalidtoken",
		"expiredtoken", "tokenexpired", "accesstoken", "unrecognizedclient", "organizationrestricted", "accountlocked", "accountsuspended",
		"accountdeactivated", "invalidcredential", "unsupportedcountry"):
		return ClassUnauthorized
	}
	return ClassUnclassified
}

func anyOf(text string, words ...string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// numberClass is the class of a vendor's own number, by where it stood: the same
// number means one thing to one vendor and something else to the next. None of
// these is an HTTP status.
func numberClass(where string, number int) Class {
	switch where {
	case "base_resp": // MiniMax
		switch number {
		case 1002, 1039, 1041:
			return ClassRateLimited
		case 1004, 2049:
			return ClassUnauthorized
		case 1008:
			return ClassQuotaExhausted
		case 1026, 1027:
			return ClassBlocked
		case 2013:
			return ClassBadRequest
		}
	case "error_code": // Baidu
		switch number {
		case 4, 18, 336501, 336502, 336503, 336504, 336505:
			return ClassRateLimited
		case 17, 19:
			return ClassQuotaExhausted
		case 13, 14, 15, 100, 110, 111:
			return ClassUnauthorized
		case 336103, 336104:
			return ClassContextOverflow
		case 336100:
			return ClassOverloaded
		}
	case "header": // iFlytek
		switch number {
		case 10013, 10014, 10019:
			return ClassBlocked
		case 10110:
			return ClassOverloaded
		case 10907:
			return ClassContextOverflow
		case 11200:
			return ClassUnauthorized
		case 11201:
			return ClassQuotaExhausted
		case 11202, 11203:
			return ClassRateLimited
		}
	case "status": // Naver
		if number == 40003 {
			return ClassContextOverflow
		}
	case "errors", "error": // Zhipu, in "error"; Cloudflare, in both
		switch number {
		case 1000, 1001, 1002, 1003, 1004, 1110, 1111, 1112, 1120, 10000:
			return ClassUnauthorized
		case 1113, 1304, 1308, 1309, 1310, 3036, 4006:
			return ClassQuotaExhausted
		case 1211, 1220, 1221, 1222, 1311, 3042, 5007, 5018:
			return ClassNotFound
		case 1261, 5021:
			return ClassContextOverflow
		case 1300, 1301, 2016, 2017:
			return ClassBlocked
		case 1302, 1303, 2003:
			return ClassRateLimited
		case 1305, 1312, 3040:
			return ClassOverloaded
		case 3007:
			return ClassTimeout
		}
	case "": // SiliconFlow, and Zhipu's plans
		switch number {
		case 1311, 20012:
			return ClassNotFound
		case 1113, 30001:
			return ClassQuotaExhausted
		case 50505, 50603:
			return ClassOverloaded
		}
	}
	return ClassUnclassified
}
