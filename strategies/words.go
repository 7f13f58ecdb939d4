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

// codeClass is the class of a code, as plainWord makes it: first the codes whose
// words would say something wrong, then what the words in it say by kinds.
func codeClass(code string) Class {
	switch code { // what is sent most, and says nothing or one thing
	case "invalidrequesterror", "servererror", "apierror", "error", "tokens", "requests", "badrequesterror", "badrequest", "invalidargument", "internalerror",
		"internalservererror":
		return ClassUnclassified
	case "ratelimitexceeded", "ratelimiterror":
		return ClassRateLimited
	case "contextlengthexceeded":
		return ClassContextOverflow
	case "insufficientquota":
		return ClassQuotaExhausted
	case "overloadederror":
		return ClassOverloaded
	case "authenticationerror", "invalidapikey":
		return ClassUnauthorized
	}
	if class := nameClass(code); class != ClassUnclassified {
		return class
	}
	if !faulty(code) {
		switch {
		case anyOf(code, "timeout", "timedout", "deadlineexceeded"):
			return ClassTimeout
		case answerCode(code):
			return ClassInvalidAnswer
		case loadCode(code):
			return ClassOverloaded
		case windowCode(code):
			return ClassContextOverflow
		case rateCode(code):
			return ClassRateLimited
		case moneyCode(code):
			return ClassQuotaExhausted
		case blockedCode(code):
			return ClassBlocked
		}
	}
	switch {
	case answerCode(code):
		return ClassInvalidAnswer
	case modelCode(code):
		return ClassNotFound
	case keyCode(code):
		return ClassUnauthorized
	}
	return ClassUnclassified
}

// nameClass is the class of the codes that are known as a whole, because the words
// in them say something else or nothing.
func nameClass(code string) Class {
	switch code {
	case "serviceunavailableerror", "serverisoverloaded", "slowdown", "flexunavailable", "modelunavailable", "gpuunavailable", "resourceinsufficient":
		return ClassOverloaded
	case "tokenquotaexceeded", "requestquotaexceeded", "throttlingallocationquota", // Cerebras and Alibaba: a quota by the minute
		"resourceexhausted", "limitexceeded", "limitexceededexception", "requestlimit", "limitburstrate", "modelcapexceeded", "cooldown", "modelcooldown",
		"failedoperationengineserverlimitexceeded":
		return ClassRateLimited
	case "setlimitexceeded", "creditlimit", "tokenquotareached", "invalidsubscription", "resourceexhaustedquota", "blockedapiaccess", "commoditynotpurchased",
		"failedoperationsetpaymodeexceed", "operationdenieduserhasnofreehours", "resourceinsufficientchargeresourceexhaust",
		"resourcessoldoutchargestatusexception", "accessnotpaid", "hardlimitreached", "tokennotenough":
		return ClassQuotaExhausted
	case "tokenlimit", "tokenslimitreached", "tokenstoolong", "characterstoolong", "maxtokensperrequest", "modelmaxprompttokensexceeded", "toomanytokens",
		"outofcontexterror", "messagelengthexceedslimit":
		return ClassContextOverflow
	case "invalidprompt", "refusal", "hooksfailed", "cyberpolicy", "biopolicy", "blocklist", "spii", "recitation":
		return ClassBlocked // OpenAI's invalid_prompt is "flagged as violating our usage policy"
	case "toolusefailed", "jsonvalidatefailed", "outputparsefailed":
		return ClassInvalidAnswer
	case "noaccess", "notfounderror", "notfound", "resourcedoesnotexist", "resourcenotfound", "resourcenotfounderror",
		"resourcenotfoundexception", "invalidparametervaluemodel", "unavailablemodel", "proonlymodel", "modelnotconfigured", "getchannelfailed", "operationdeniedservicenotopen":
		return ClassNotFound
	case "requesttoolarge", "stringabovemaxlength", "unknownparameter", "previousresponsenotfound":
		return ClassBadRequest
	case "modelnotreadyexception", "modelerrorexception", "modelstreamerrorexception", "billingfailed":
		return ClassTransient // Amazon sends its three as 4xx
	case "securitypolicyviolated", "locationpolicyviolated", "invalidauth", "invalidkey", "missingkey", "keynotfound", "channelinvalidkey", "invalidsession", "notpermitted",
		"invalidproject", "invalidorganization", "mismatchedorganization", "noorganization", "consumerinvalid", "resourceprojectinvalid", "accountstateinvalid",
		"invalidaccountstatus", "userprojectdenied", "invalidclienttokenid", "subscriptionnotfound", "apinotallowed", "featurenotallowed", "servicedisabled",
		"validationrequired", "billingauthfailed", "noassociatedserviceinstanceerror", "unsupportedregion":
		return ClassUnauthorized
	}
	return ClassUnclassified
}

// faulty says whether a code is about a parameter: of the rest of its words none
// has happened. Keys and models are parameters, too, and are asked for anyway.
func faulty(code string) bool {
	for _, word := range [...]string{"invalid", "missing", "unsupported", "unknown", "duplicate", "malformed", "unexpected"} {
		if strings.HasPrefix(code, word) {
			return true
		}
	}
	return strings.HasSuffix(code, "invalid") || strings.HasSuffix(code, "required") && !strings.Contains(code, "payment") || strings.HasSuffix(code, "mustbepositive")
}

// answerCode: the provider found the model's answer no good.
func answerCode(code string) bool {
	return anyOf(code, "modeloutput", "modelresponse", "toolcallgenerated", "generatedtoolcall") && anyOf(code, "invalid", "malformed", "unparsable", "parsefailed")
}

// loadCode: the provider is full.
func loadCode(code string) bool {
	return anyOf(code, "overload", "capacity", "busy", "queuefull", "queueexceeded", "highload", "highdemand", "peakload", "noavailableworker", "noworker",
		"nogpu", "insufficientresource", "resourcesinsufficient", "notenoughresource", "outofresource", "nohealthyupstream")
}

// windowCode: what was sent is longer than the model's window.
func windowCode(code string) bool {
	if anyOf(code, "contextlength", "contextwindow", "contextsize", "contextlimit", "contextoverflow") {
		return true
	}
	return anyOf(code, "context", "prompt", "inputt", "inputl", "inputexceed", "conversation", "messages", "sequence", "tokencount", "formodel") &&
		anyOf(code, "toolong", "toolarge", "toomanytoken", "exceed", "overflow") &&
		!anyOf(code, "stopsequence", "rate", "quota", "minute", "daily", "timeout", "output", "name", "title")
}

// rateCode: too many, too fast.
func rateCode(code string) bool {
	return anyOf(code, "ratelimit", "throttl", "toomanyrequest", "toofrequent", "toomanyconcurrent", "toomanyconnection", "toomanytask", "requestlimitexceeded", "requestslimit",
		"limitrequests", "limittokens", "concurrencylimit", "concurrentlimit", "parallelrequest", "frequencylimit", "flowcontrol", "flowlimit", "trafficlimit",
		"spikearrest", "rateexceeded", "requestratetoo", "bursttoofast", "burstlimit", "throughputexceeded", "inflightbatchsize", "coolingdown",
		"requestlimited", "tokenlimited") ||
		anyOf(code, "qps", "rpm", "tpm", "perminute", "persecond", "concurren") && anyOf(code, "exceed", "limit", "reached", "max")
}

// moneyCode: an account without credit, or a quota that ran out.
func moneyCode(code string) bool {
	if anyOf(code, "quotaexceeded", "exceededquota", "currentquota", "quotaexhausted", "billing", "arrear", "insufficientbalance", "creditbalance", "overdue",
		"paymentrequired", "requiredpayment", "budgetexceeded", "exceededbudget", "overbudget", "spendlimit", "spendinglimit", "spendcap", "spendingcap", "costlimit", "usagelimit",
		"dailylimit", "weeklylimit", "monthlylimit", "planlimit", "freelimit", "premiumrequestlimit", "overagelimit", "creditlimit", "freetieronly", "freetierexhausted",
		"packexhausted", "tokenquotafailed", "pastdue", "unpaid", "trialexpired", "trialended", "subscriptionexpired", "subscriptionended", "subscriptioninactive",
		"nocredit", "noquota", "nobalance", "nofunds", "lowbalance", "zerobalance", "walletempty", "insufficientpoint", "requiredpay") {
		return true
	}
	return anyOf(code, "insufficient", "notenough", "outof", "negative", "depleted", "exhausted", "toolow", "nousable") &&
		anyOf(code, "quota", "balance", "credit", "fund", "allowance", "wallet")
}

// blockedCode: what was said, or would have been, is not allowed.
func blockedCode(code string) bool {
	if anyOf(code, "contentfilter", "contentpolicy", "policyviolation", "moderation", "moderated", "datainspection", "riskdetection", "riskcontrol", "guardrail",
		"responsibleai", "contentviolation", "censor", "promptthreat", "promptinjection", "promptattack", "promptshield", "jailbreak", "prohibited",
		"maliciousprompt", "maliciouscontent", "maliciousinput", "threatdetected", "attackdetected", "aifirewall", "modelarmor", "refusal", "infringement",
		"copyright", "inappropriate", "harmful", "toxic", "hatespeech", "selfharm", "sexual", "violence", "nsfw", "csam", "piidetected", "piientity", "dlpviolation",
		"dlpblocked", "acceptableuse", "aupviolation", "tosviolation", "termsofserviceviolation", "ruleblocked", "roleblocked", "contentrisk", "riskcontent",
		"illegalcontent", "illegalprompt", "illegalimage", "illegaldetected") {
		return true
	}
	switch {
	case anyOf(code, "safety", "unsafe"):
		return !anyOf(code, "identifier", "setting", "integer") // the first two are parameters, too
	case strings.Contains(code, "sensitive"):
		return !strings.Contains(code, "case")
	case strings.Contains(code, "contenttype"):
		return false
	case strings.Contains(code, "content") && anyOf(code, "notallowed", "restricted", "forbidden", "againstpolicy", "auditfail", "checkfail"):
		return true
	}
	return anyOf(code, "blocked", "flagged", "rejected") && anyOf(code, "content", "prompt", "input", "output", "response", "completion", "answer")
}

// modelCode: a model, or what it is called by, that is missing, retired, or not for
// this account.
func modelCode(code string) bool {
	switch {
	case anyOf(code, "parameter", "config", "argument", "setting", "option", "format"):
		return false
	case strings.Contains(code, "model"):
		return anyOf(code, "notfound", "notavailable", "notsupported", "unsupported", "decommission", "deactivat", "deprecat", "discontinued", "archived", "sunset",
			"removed", "withdrawn", "offline", "inactive", "eol", "retired", "permission", "terms", "access", "notopen", "notexist", "doesnotexist", "invalidmodel", "badmodel", "modelgone",
			"nomodel", "nosuch", "nomatching", "unrouted", "missing", "unknown", "disabled", "blocked", "gated", "restricted", "forbidden", "unauthorized", "notallowed",
			"notenabled", "notincluded", "notinplan", "notpermitted", "notdeployed", "notloaded", "notsubscribed", "notwhitelisted", "notactivated",
			"notpurchased", "unavailablefor", "consentdenied", "requiresupgrade")
	}
	return anyOf(code, "endpoint", "deployment", "inferenceprofile", "provider", "channel") &&
		anyOf(code, "notfound", "closedendpoint", "notrunning", "noavailablechannel", "noproviderfound", "doesnotexist", "deleted")
}

// keyCode: a key that is not taken, or an account that is shut.
func keyCode(code string) bool {
	if strings.Contains(code, "tokenizer") {
		return false
	}
	if strings.HasPrefix(code, "forbidden") || anyOf(code, "apikey", "authenticat", "unauthori", "notauthori", "authfail", "autherror", "authinvalid", "authrequired", "failedtoauth", "missingauth", "noauth",
		"unautherror", "accessdenied", "accessterminated", "permission", "privilege", "credential", "iamtoken", "invalidtoken", "expiredtoken",
		"tokenexpired", "tokeninvalid", "tokenrevoked", "tokenmissing", "missingtoken", "tokennotfound", "accesstoken", "bearertoken", "jwt", "unrecognizedclient",
		"keyexpired", "keyrevoked", "keydisabled", "expiredkey", "scopeinsufficient", "insufficientscope", "missingscope", "loginrequired", "notloggedin",
		"sessionexpired", "ipnot", "ipblocked", "ipinblacklist", "geoblocked", "geonot", "verificationrequired", "notverified", "unverified", "realname",
		"optinrequired", "signuprequired", "unusualactivity", "unsupportedcountry", "unsupportedlocation", "unsupporteduserlocation") {
		return true
	}
	return anyOf(code, "account", "organization", "workspace", "project", "consumer", "tenant", "user") &&
		anyOf(code, "suspended", "banned", "frozen", "disabled", "deactivated", "terminated", "locked", "inactive", "restricted") ||
		strings.Contains(code, "signature") && anyOf(code, "invalid", "expired", "incomplete", "doesnotmatch", "mismatch", "failure") && !strings.Contains(code, "thinking") ||
		anyOf(code, "region", "country", "territory", "location") && anyOf(code, "notsupported", "notallowed", "blocked", "restricted")
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
		case 1000, 1013, 1024, 1033:
			return ClassTransient
		case 1001:
			return ClassTimeout
		case 1002, 1039, 1041, 2045:
			return ClassRateLimited
		case 1004, 2042, 2049:
			return ClassUnauthorized
		case 1008, 2056:
			return ClassQuotaExhausted
		case 1026, 1027:
			return ClassBlocked
		case 1042, 2013, 2054:
			return ClassBadRequest
		case 2061:
			return ClassNotFound
		case 2062:
			return ClassOverloaded
		}
	case "error_code": // Baidu
		switch number {
		case 4, 18, 336501, 336502, 336503, 336504, 336505:
			return ClassRateLimited
		case 17, 19:
			return ClassQuotaExhausted
		case 6, 13, 14, 15, 100, 110, 111, 336004:
			return ClassUnauthorized
		case 336005:
			return ClassNotFound
		case 336103, 336104:
			return ClassContextOverflow
		case 336100:
			return ClassOverloaded
		}
	case "header": // iFlytek
		return flytekClass(number)
	case "status": // Naver
		switch {
		case number == 40003:
			return ClassContextOverflow
		case number >= 40100 && number < 60000: // an HTTP status, and two digits
			return statusClass(number / 100)
		}
	case "errors", "error": // Zhipu, in "error"; Cloudflare, in both
		switch number {
		case 1000, 1001, 1002, 1003, 1004, 1100, 1110, 1111, 1112, 1120, 1121, 2009, 3023, 9109, 10000:
			return ClassUnauthorized
		case 1113, 1304, 1308, 1309, 1310, 3036, 4006:
			return ClassQuotaExhausted
		case 1211, 1220, 1221, 1222, 1311, 3041, 3042, 5007, 5016, 5018:
			return ClassNotFound
		case 1261, 5021:
			return ClassContextOverflow
		case 1300, 1301, 2016, 2017, 3030:
			return ClassBlocked
		case 1302, 1303, 1313, 2003:
			return ClassRateLimited
		case 1305, 1312, 3040:
			return ClassOverloaded
		case 3007, 3008, 3046:
			return ClassTimeout
		case 1210, 1212, 1213, 1214, 1215, 3003, 3006, 5004, 5006:
			return ClassBadRequest
		}
		if where == "error" {
			return flytekClass(number) // of its OpenAI-like API
		}
	case "fault": // WSO2
		return gatewayClass(number)
	case "": // SiliconFlow, and Zhipu's plans
		switch number {
		case 1311, 20012, 30003:
			return ClassNotFound
		case 1113, 30001, 30011:
			return ClassQuotaExhausted
		case 50505, 50603:
			return ClassOverloaded
		}
		return gatewayClass(number)
	}
	return ClassUnclassified
}

// flytekClass is the class of iFlytek's numbers.
func flytekClass(number int) Class {
	switch number {
	case 10013, 10014, 10019:
		return ClassBlocked
	case 10008, 10010, 10110:
		return ClassOverloaded
	case 10907:
		return ClassContextOverflow
	case 10015, 10016, 11200:
		return ClassUnauthorized
	case 11201:
		return ClassQuotaExhausted
	case 10006, 10007, 11202, 11203:
		return ClassRateLimited
	case 10011, 10012, 10222:
		return ClassTransient
	}
	return ClassUnclassified
}

// gatewayClass is the class of the numbers of WSO2's gateway, in whose JSON they
// stand at the top or in "fault".
func gatewayClass(number int) Class {
	switch {
	case number == 900514:
		return ClassBlocked
	case number >= 900800 && number < 900810:
		return ClassRateLimited
	case number >= 900900 && number < 900920:
		return ClassUnauthorized
	}
	return ClassUnclassified
}
