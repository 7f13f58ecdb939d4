package strategies

import (
	"strings"

	"github.com/understudy-go/understudy/internal/foreign"
)

// What a provider says to people is asked by kinds: what is too long for what,
// who ran out of what, what is not allowed, which model is not there. Prose is
// changed without notice, so no sentence is known as a whole; and it quotes, so
// what stands in quotation marks is somebody else's word, an address is nobody's,
// and a crash speaks to programmers.

// open says whether a text can still change the class.
func open(class Class, coded bool) bool {
	switch class {
	case ClassRateLimited, ClassQuotaExhausted, ClassUnauthorized, ClassNotFound:
		return true
	case ClassBadRequest, ClassTransient, ClassTimeout, ClassUnclassified:
		return !coded
	}
	return false
}

// refine is the class that the text gives to what status and codes have called
// class so far; coded: a code said so, which counts for more.
func (t *sentence) refine(f *foreign.Facts, class Class, coded bool) Class {
	if t.said == "" || t.has("panic:", "traceback (most recent", "runtime error:", "stack trace:") {
		return class
	}
	switch class {
	case ClassRateLimited:
		return t.limit(f, coded)
	case ClassQuotaExhausted:
		if strings.Contains(t.all, "aliyun") && strings.Contains(t.all, "#token-limit") {
			return ClassRateLimited // Alibaba's insufficient_quota is by the minute
		}
	case ClassUnauthorized:
		if f.Number != 0 && coded {
			return class
		}
		return t.refusal(class)
	case ClassNotFound:
		switch {
		case t.thing():
			return ClassBadRequest
		case !coded && t.money():
			return ClassQuotaExhausted
		case !coded && t.later() && t.busy():
			return ClassOverloaded
		}
	case ClassTimeout:
		if t.busy() {
			return ClassOverloaded
		}
	case ClassBadRequest, ClassUnclassified:
		return t.complaint(class, f)
	case ClassTransient:
		switch {
		case t.tooLong():
			return ClassContextOverflow
		case t.noAnswer():
			return ClassInvalidAnswer
		case t.money(), t.quota():
			return ClassQuotaExhausted
		case t.blocked() && f.Status < 500:
			return ClassBlocked
		case t.busy():
			return ClassOverloaded
		case t.rate():
			return ClassRateLimited
		case t.has("无可用渠道", "no available channel"):
			return ClassNotFound
		}
	}
	return class
}

// limit tells apart what a 429 is: a rate, a quota, or a provider that is full.
func (t *sentence) limit(f *foreign.Facts, coded bool) Class {
	waits := func() bool { return f.Wait != 0 || f.WaitIn(t.all) != 0 }
	// Google says of every quota, by the minute too, to look at plan and billing.
	google := t.has("exceeded your current quota") && (f.RPC != "" || waits()) || f.RPC != "" && !coded
	switch {
	case t.has("message larger than max"): // gRPC's: no waiting makes it smaller
		return ClassBadRequest
	case !coded && t.busy():
		return ClassOverloaded
	case t.broke(), !google && t.payUp() && !t.has("rate limit"):
		return ClassQuotaExhausted
	case t.byTheDay() && !waits():
		return ClassQuotaExhausted
	case !coded && t.noModel():
		return ClassNotFound
	}
	return ClassRateLimited
}

// refusal tells apart what a 401 or 403 is.
func (t *sentence) refusal(class Class) Class {
	switch {
	case t.noModel():
		return ClassNotFound
	case t.has("context window", "context length", "maximum context", "input token", "prompt exceeds") && t.tooLong():
		return ClassContextOverflow
	case t.money(), t.quota(), t.usedUp(), t.usage():
		return ClassQuotaExhausted
	case t.blocked():
		return ClassBlocked
	case t.rate():
		return ClassRateLimited
	case t.later() && t.busy():
		return ClassOverloaded
	}
	return class
}

// complaint tells apart what a 400 is.
func (t *sentence) complaint(class Class, f *foreign.Facts) Class {
	switch {
	case t.tooLong():
		return ClassContextOverflow
	case t.money(), t.quota(), t.usedUp(), t.usage(), t.has("usage limits", "usage limit has been"):
		return ClassQuotaExhausted
	case t.noAnswer():
		return ClassInvalidAnswer
	case t.noKey():
		return ClassUnauthorized
	case t.blocked():
		return ClassBlocked
	case t.noModel():
		return ClassNotFound
	case t.rate():
		return ClassRateLimited
	case (f.Status > 404 || f.Status == 0 || t.later()) && t.busy():
		return ClassOverloaded
	}
	return class
}

// tooLong: what was sent is longer than the model's window.
func (t *sentence) tooLong() bool {
	if t.has("per minute", "per day", "per second", "per hour", "/min", "(tpm)", "(tpd)") {
		return false // a limit of tokens in time is no window
	}
	over := t.has("exceed", "longer than", "larger than", "greater than", "too long", "too large", "too big", "too many", "overflow", "less than", "<=",
		"supports up to", "no smaller than", "more than", "maximum input length is", "but the request contains", "maximum context length is", "maximum prompt length is", "shorter", "reduce", "however", "not enough", "over the", "but the maximum", "lower the number", "beyond the", "above the", "tokens per request", "supports a maximum", "model supports", "out of context", "maximum allowed", "but only",
		"超过", "超出", "超限", "超长", "过长", "大于")
	if over && t.window() {
		return true
	}
	if t.has("überschreit", "dépass", "supera", "excede", "превыш", "超过", "超出", "超限", "超えて", "초과") && t.has("context", "kontext", "контекст", "コンテキスト", "컨텍스트", "上下文", "token") &&
		!t.has("max_tokens", "max_completion_tokens", "有效期", "每分钟", "每天", "每日", "minut") {
		return true
	}
	if !over && t.has(">=", " > ") {
		over = !t.has("must be", "should be") // a comparison that failed, and no rule of a setting
		if over && t.window() {
			return true
		}
	}
	if t.has("too many tokens") && !t.later() || t.has("context overflow", "input_length_error", "maximum conversation length", "context limit reached", "context limit has been reached", "context window is full", "context is full", "max_prompt_length", "model max length") || t.has("not fit", "doesn't fit", "don't fit", "unable to fit", "can't fit", "too long to fit", "too large to fit") && t.has("context", "prompt", "window of the model") {
		return true
	}
	if !over {
		return t.has("range of input length", "最大上下文") || t.has("context size", "context window", "context length") && t.counts() > 1 || t.counted()
	}
	switch {
	case t.has("output token", "completion token", "max_tokens", "max_new_tokens", "max_completion_tokens", "max_output_tokens", "maxoutputtokens", "maximum tokens you requested") &&
		!t.has("input", "prompt", "messages"),
		t.has("completion tokens, whereas"), t.has(" pixels", " pages", "file size", "image exceeds", "payload size", "budget_tokens"):
		return false // the answer's length, or bytes, and the request's own fault everywhere
	case t.plainly("history", "too long"), t.plainly("history", "too large"), t.plainly("token length", "too long"),
		t.plainly("sequence", "too long") && !t.has("stop"), t.has("输入", "对话", "提示", "消息") && t.has("过长", "超长"), t.has("模型最大长度"),
		t.has("thread", "conversation", "chat", "dialog") && t.has("exceed", "reached") && t.has("maximum length", "length limit") && !t.has("field", "title", "name"),
		t.plainly("prompt", "too long"), t.plainly("input", "too long"), t.plainly("conversation", "too long"), t.plainly("messages", "too long"),
		t.plainly("prompt", "too large"), t.plainly("conversation", "too large"), t.plainly("prompt", "too big"),
		t.has("输入", "提示词") && t.has("模型", "限制", "最大") && t.has("长度"), t.has("token limit exceeded") && !t.byTheDay(),
		t.has("prompt length", "prompt 超", "input length", "input is larger than", "prompt is longer", "prompt exceeds", "conversation exceeds", "history exceeds", "prompt is above", "input limit", "reduce the length of the messages",
			"reduce the length of the prompt", "reduce your prompt", "total text bytes", "输入过长", "输入长度",
			"too long for this model", "too long for the model", "too long for requested model", "too big for the model", "too big for this model", "too large for the model", "too large for this model"):
		return true
	case t.counted():
		return true
	}
	tokens := t.has("tokens", "token count", "token limit", "prompt_tokens")
	return tokens && t.has("input", "prompt", "request", "messages", "text", "context", "model", "total", "in batch", "batch has", "max size", "max tokens of", "maximum number of tokens") &&
		!t.has("must be at least", "refresh token", "access token")
}

// counted: it counts the tokens of what was sent, and says how many there may be.
func (t *sentence) counted() bool {
	return t.counts() > 0 && t.has("prompt", "input", "messages", "conversation", "history", "context", "your request") &&
		t.has("accepts up to", "accepts at most", "accepts only", "limited to", "limited by", "but only", "only supports", "can only", "at most", "limit is", "limit of", "maximum is", "maximum of", "max is", "the model's window", "capacity of", "can handle", "can process", "allows up to", "allows only", "are allowed") &&
		!t.has("at least", "minimum", "too short", "too small", "output token", "completion token", "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "quota", "rate limit", "budget", "stop")
}

// window: it names the model's window.
func (t *sentence) window() bool {
	return t.has("context length", "context window", "context size", "context limit", "maximum context", "max context", "n_ctx", "max_seq_len", "max_model_len",
		"maximum model length", "sequence length", "model's context", "model's window", "context space", "context_length_exceeded", "context_window_exceeded", "上下文")
}

// money: an account without credit, whatever the unit.
func (t *sentence) money() bool { return t.broke() || t.payUp() }

// broke: it says that there is no credit.
func (t *sentence) broke() bool {
	for _, unit := range [...]string{"credit", "credits", "balance", "funds"} {
		if t.behind(unit, "insufficient", "not enough", "enough", "sufficient", "out of", "all available", "included", "no remaining", "outstanding", "zero") || unit == "credits" && t.behind(unit, "any", "no", "more", "no remaining", "no available", "add", "purchase", "buy") ||
			unit == "credits" && t.behind(unit, "0", "zero", "0.00") || t.before(unit, "insufficient", "too low", "negative", "not enough", "expired", "remaining", "exhausted", "depleted", "used up", "not sufficient", "is 0", "is zero", "ran out", "run out", "consumed", "been used") {
			return true
		}
	}
	if t.has("budget") && t.has("exceed", "exhausted", "reached", "used up", "spent", "over ") && !t.has("retry", "thinking", "reasoning", "token budget", "time budget", "latency", "error budget", "must be") {
		return true
	}
	return t.before("spend", "limit", "cap", "threshold") || t.before("trial", "expired", "ended", "is over") || t.before("subscription", "expired", "has ended", "is inactive", "lapsed", "not active", "been cancel") ||
		t.before("usage", " cap") || t.before("allowance", "used up", "exhausted", "depleted", "exceeded") || t.behind("points", "insufficient", "not enough") ||
		t.has("billing account") && t.has("disabled", "closed", "not active", "inactive", "suspended") || t.before("billing", "is disabled", "not enabled", "been disabled") ||
		t.before("free tier", "exhausted", "used up", "has ended", "depleted", "ran out") || t.has("insufficient") && t.has("top up", "top-up") ||
		t.has("insufficient fund", "credit limit", "credit balance", "insufficient quota", "insufficient usd", "account balance", "unpaid", "key limit exceeded", "over budget",
			"budget exceeded", "budget has been exceeded", "exceeded budget", "crossed budget", "budget limit", "exceededbudget", "payment required", "payment is required", "payment failed", "credit card on file", "bind a credit card", "bind a card", "exceeded the free usage", "insufficient_quota", "insufficient_credits", "insufficient_user_quota", "token pack", "overdue", "in arrears",
			"arrearage", "hard limit has been reached", "usage allowance", "request allowance", "free trial quota", "free tier of the model has been exhausted",
			"account is in good standing", "out of extra usage", "from your extra usage", "extra usage is required",
			"inactive subscription", "no active subscription", "no active plan", "no money", "remaining tokens", "tokens left", "no tokens", "no quota", "quota left", "overdraft", "free requests exhausted", "free credits",
			"欠费", "余额不足", "余量不足", "没有余额", "次数已用", "余额为", "额度不足", "额度失败", "已用尽", "已用完", "已耗尽", "套餐已到期")
}

// payUp: it says what to do about it, and some say so of a low rate, too.
func (t *sentence) payUp() bool {
	return t.has("exceeded your current quota", "exceeded current quota", "out of call volume quota", "payment method", "plan and billing", "billing details", "billing to be enabled", "recharge", "top up", "充值")
}

// quota: one that ran out.
func (t *sentence) quota() bool {
	return t.has("quota") && t.has("exceed", "exhaust", "reached", "used up", "out of", "rejected", "quota is not enough", "not enough quota")
}

// usedUp: what a plan gives for a day, a week or a month.
func (t *sentence) usedUp() bool {
	return t.has("limit", "included", "allotted", "allocation") && t.has("used all", "used up all", "reached your", "hit your", "exceeded your", "exhausted your", "used up your", "used all of your") && t.byTheDay()
}

// usage: what a plan, a key or a team may use has been used.
func (t *sentence) usage() bool {
	return t.has("usage limit", "usage cap", "consumption limit", "pay-as-you-go limit", "cost limit", "plan limit", "plan's limit", "limit of your plan", "credit limit") && t.has("reached", "exceed", "hit ", "exhausted", "over ")
}

// byTheDay: a limit that passes tomorrow, or next month.
func (t *sentence) byTheDay() bool {
	return t.has("per day", "per 1 day", "per-day", "/day", "/ day", "daily", "(tpd)", "(rpd)", " tpd ", " rpd ", "per week", "per 1 week", "weekly", "per month", "per 1 month", "per-month", "/ month",
		"/month", "monthly", "today", "this week", "this month", "for the day", "for the month", "本周", "每周", "当月", "今日", "每日", "每天", "本月", "每月", "billing period", "billing cycle")
}

func (t *sentence) rate() bool {
	return t.has("rate limit exceeded", "rate limit reached", "too many requests", "rate-limited", "rate limited", "ratelimit", "throttled", "request rate exceeded", "rate exceeded", "too quickly", "requests too fast", "slow down", "concurrency limit", "too many tokens, please wait", "too many concurrent", "enqueued token limit", "限流", "频率过高", "频繁", "过快", "降低请求频率", "并发数过高", "并发过高") &&
		!t.has("parameter", "field") || t.has("per minute", "per second") && t.has("exceeded", "limit reached")
}

// busy: the provider is full, whoever asks.
func (t *sentence) busy() bool {
	return t.has("overloaded", "over capacity", "at capacity", "out of capacity", "maximum capacity", "no capacity", "capacity temporarily", "capacity limit",
		"no slot available", "no slots available", "no free slot", "no available slot", "过载", "负载较高", "负载过大", "pending requests exceeded", "backpressure", "saturated", "访问量过大", "人数过多", "繁忙", "服务忙", "负载过高", "饱和", "混雑", "算力", "人数较多", "请求量过大", "高峰", "拥挤", "혼잡", "과부하",
		"queue is full", "queue full", "queue size", "max capacity", "gpu capacity", "compute capacity", "full capacity", "at their limit", "out of compute", "all gpus", "gpus are", "concurrent users", "too many users",
		"too many pending", "surge in", "traffic surge", "peak traffic", "peak load", "load shed", "shedding load", "heavily loaded", "under pressure", "gpu shortage", "no gpu", "cannot handle more", "unable to handle additional", "unable to handle more", "waiting queue") ||
		t.before("queue", "is full", "too long", "at its limit") && !t.has("name") ||
		t.has("busy") && !t.has("file busy", "resource busy") ||
		t.behind("traffic", "high", "heavy") || t.behind("demand", "high", "much", "heavy", "increased", "peak") || t.behind("load", "high", "heavy", "too much", "much", "peak") ||
		t.has("insufficient", "not enough") && t.has("gpu", "compute resources") ||
		t.behind("overload", "server", "service", "system", "engine", "model") ||
		t.has("capacity") && t.has("exceeded", "exhausted", "insufficient")
}

// later: it says to come back.
func (t *sentence) later() bool {
	return t.has("again", "later", "retry", "temporar", "currently", "right now", "at the moment", "稍后", "重试")
}

// blocked: what was said, or would have been, is not allowed.
func (t *sentence) blocked() bool {
	switch {
	case t.has("data policy", "safety_setting", "safety setting", "safetysetting", "safety_identifier", "case-sensitive", "case sensitive", "sensitive-case"):
		return false // settings of the account's, and of the request's
	case t.before("blocked", "output", "prompt"), t.before("blocked by", " ai", " guard", "shield"), t.before("prompt", "blocked"), t.before("output", "blocked"), t.before("content", "is blocked"),
		t.has("content exists risk", "content that is not allowed", "敏感内容", "敏感词", "敏感信息", "敏感话题", "审核不通过", "审核未通过", "不安全或敏感", "违规", "违禁", "不合规", "合规问题", "非法内容", "内容安全",
			"安全策略", "安全规范", "拒绝回答", "审核失败", "政治敏感", "高风险", "涉嫌", "不適切", "有害な", "부적절", "유해", "new_sensitive", "image_safety", "prohibited_content"):
		return true
	}
	if t.verdict() && t.has("content management", "content polic", "content filter", "content violat", "usage polic", "usage guideline", "safety", "moderation", "inappropriate",
		"sensitive", "harmful", "high risk", "guardrail", "prohibited content", "prohibited word", "denied topic", "jailbreak", "prompt injection", "violates our polic", "violate our polic", "unsafe content", "flagged as unsafe", "input was flagged", "prompt was flagged") {
		return true
	}
	if t.has("account", "your access", "suspended", "banned", "access was terminated") {
		return false // somebody is shut out, for what was said before
	}
	switch {
	case (t.verdict() || t.has("fail", "exceeds", "triggered", "disallowed", "not allowed", "not permitted", "denied", "withheld", "stopped", "prohibited", "found in", "severity", "identified", "matched", "did not pass", "not pass")) &&
		t.has("safety check", "safety review", "dlp ", "safety filter", "safety system", "safety polic", "safety reason", "content safety", "moderation failed", "moderation check", "moderation filter", "risk control", "guardrail", "prohibited content",
			"responsible ai", "responsibleai", "trust and safety", "abuse detection", "nsfw", "csam", "pii ", "personally identifiable", "personal data", "copyrighted", "copyright infring",
			"hate speech", "hate content", "toxic", "violence threshold", "profanity", "offensive content", "offensive language", "self-harm", "sexual content", "sexually explicit", "explicit content", "violent content", "malicious", "illegal content",
			"prompt attack", "threat in", "prohibited term", "forbidden word", "banned word", "blocked word", "disallowed content", "disallowed topic", "unsafe prompt", "unsafe response", "unsafe input", "unsafe output",
			"due to safety", "due to recitation", "due to blocklist", "due to spii", "due to language", "due to security configuration", "public code"):
		return true
	case t.has("violat", "against our", "breach") && t.has("acceptable use", "terms of service", "terms of use", "community guideline", "community standard", "content guideline", "our guidelines", "our polic"):
		return true
	case t.has("flagged") && t.has("prompt", "input", "content", "request", "message", "output", "response"):
		return true
	case t.has("blocked by", "blocked due", "blocked because", "rejected by", "denied by", "refused by") && t.has("polic", "filter", "safety", "guard", "moderation", "compliance", "content") &&
		!t.has("cors", "security policy", "organization", "network", "admin", "referer", "firewall rule"):
		return true
	}
	return t.has("content moderation") && !t.has("must be", "parameter", "setting", "enable", "field", "model") || t.has("unsafe prompt", "unsafe content", "terminated by content filter", "stopped by content filter", "content is not allowed", "content not allowed", "content not permitted", "topic not allowed", "topic is not allowed", "refused to answer", "refused to respond", "refused to generate",
		"declined to answer", "declined to respond", "declined to generate", "cannot assist with", "can't assist with", "can't help with that", "cannot help with that") ||
		t.before("response ", "blocked", "filtered") || t.before("completion ", "blocked", "filtered") || t.before("generation ", "blocked", "filtered") || t.before("output ", "filtered")
}

// verdict: something was judged.
func (t *sentence) verdict() bool {
	return t.has("violat", "flagged", "filtered", "blocked", "rejected", "triggering", "not allowed by", "refused", "detected", "may contain", "contains", "considered", "intervened", "checks defined", "restricted for", "limited access to this", "declined", "checks failed", "cannot be generated", "unable to respond")
}

// noAnswer: the provider found the model's answer no good.
func (t *sentence) noAnswer() bool {
	return t.has("model produced", "model generated", "invalid tool generation") && t.has("invalid", "could not be parsed") ||
		t.plainly("model's response", "not valid") || t.plainly("model's response", "invalid")
}

// noKey: a key or token that is not taken, or an account that is shut, said beside a 400.
func (t *sentence) noKey() bool {
	return strings.HasPrefix(t.said, "unauthorized") || t.has("api key", "api-key", "api_key", "apikey", "api token", "access token", "bearer token", "authorization token", "authorization header", "authentication credentials", "api credentials", "this credential", "令牌", "密钥") &&
		t.has("invalid", "incorrect", "not valid", "expired", "missing", "revoked", "disabled", "wrong", "required", "malformed", "only authorized for", "leaked", "unable to verify", "no api key", "provide", "not found", "无效", "过期") ||
		t.before("organization", "restricted", "disabled", "suspended", "deactivated") || t.before("account", "restricted", "disabled", "suspended", "deactivated") ||
		t.before("account has been", "banned", "blocked", "locked", "terminated") || t.before("account is", "banned", "blocked", "locked", "terminated") ||
		t.has("invalid token") && len(t.said) < 24 || t.has("wrong secret key", "signature verification failed", "signature does not match") ||
		t.has("location is not supported", "country, region, or territory", "not supported in your country", "not available in your country", "your ip address is", "your ip is not") && !t.has("model") ||
		t.has("authentication fail", "login fail", "insufficient permissions", "认证失败", "鉴权失败")
}

// thing: something else than a model is missing, and no stand-in has it either.
func (t *sentence) thing() bool {
	if t.has("model", "deployment", "endpoint") {
		return false
	}
	for _, thing := range [...]string{"file", "thread", "response with id", "vector store", "conversation", "assistant", "batch", "container", "session", "item with id"} {
		if at := strings.Index(" "+t.said, " "+thing); at >= 0 && t.has("not found", "no such", "no "+thing, "does not exist") {
			return true
		}
	}
	return false
}

// noModel: a model that is missing, retired, or not for this account.
func (t *sentence) noModel() bool {
	if t.has("no model named", "no model called", "accept the model", "model terms", "doesn't include this model", "does not include this model", "not found the model", "access non-serverless model", "no models loaded", "no endpoints found", "not a valid model", "invalid model id",
		"not activated the model", "model you requested is not available", "model identifier is invalid", "requested model is not supported", "不支持的模型") ||
		t.has("模型") && t.has("不存在", "下线", "下架", "无权", "未开通", "不支持该模型", "暂不支持", "未找到") {
		return true
	}
	for _, noun := range [...]string{"model", "endpoint", "deployment", "engine"} {
		if noun == "model" && t.behind(noun, "invalid", "unknown", "unsupported", "unrecognized", "unavailable", "no such", "unable to access", "not find", "not find the", "couldn't find", "cannot find") {
			return true
		}
		for rest, from := t.said, 0; ; {
			at := strings.Index(rest[from:], noun)
			if at < 0 {
				break
			}
			at += from
			from = at + len(noun)
			if gone(noun, rest[from:]) || noun == "model" && barred(rest[:at]) {
				return true
			}
		}
	}
	return false
}

// barred says whether the few words before "model" say that it is not for us.
func barred(before string) bool {
	before = before[max(0, len(before)-60):]
	before = before[strings.LastIndexAny(before, ".;\n")+1:]
	return anyOf(before, "access to", "not allowed to use", "not allowed to access", "not allowed to sample", "verified to use", "permission to use", "permitted to use", "entitled to use", "eligible to use", "allowed to call", "authorized to use",
		"plan does not include", "no deployment found", "no available channel", "no provider found", "no provider supports")
}

// gone says whether the few words behind "model" say that it is not there: the
// name of the model may stand between, and no other noun with it.
func gone(noun, rest string) bool {
	rest = rest[:min(len(rest), 160)]
	if end := strings.IndexAny(rest, ",;\n"); end >= 0 {
		rest = rest[:end]
	}
	for _, phrase := range [...]string{
		"does not exist", "doesn't exist", "not exist", "not found", "is not supported", "isn't supported", "not available", "no longer", "not enabled", "n't enabled", "not recognized", "not recognised", "n't recognized", "n't available", "only available", "not served", "not currently", "not offered", "phased out", "sunset", "discontinued",
		"decommissioned", "deactivated", "deprecated", "was removed", "been removed", "retired", "end of life", "end-of-life", "is restricted", "is disabled", "not servable", "is archived", "been archived", "shut down", "not accessible", "is unavailable", "not included in", "not permitted", "be found", "not loaded", "not deployed", "requires a subscription", "requires a paid", "requires tier", "requires an upgrade", "requires a higher", "requires a pro", "requires pro", "requires the ",
	} {
		if noun != "model" && phrase == "is not supported" || noun == "engine" && phrase != "does not exist" && phrase != "not found" {
			continue // a parameter of an endpoint is none of it
		}
		if at := strings.Index(rest, phrase); at >= 0 && len(strings.Fields(rest[:at])) <= 5 && !strings.Contains(rest[:at], ":") && !strings.Contains(rest[:at], ". ") {
			return true
		}
	}
	return false
}
