package foreign

import (
	"reflect"
	"strings"
	"time"
)

// rpcNames are the names of the gRPC codes by number, as Google's JSON APIs
// spell them: one table serves both.
var rpcNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

func rpcName(name string) string {
	for _, known := range rpcNames[1:] {
		if name == known {
			return known
		}
	}
	return ""
}

func (f *Facts) jsonDetails(list []map[string]any) {
	for _, d := range list[:min(len(list), maxDetails)] {
		f.jsonDetail(d)
	}
}

// jsonDetail reads one google.rpc detail of a JSON error.
func (f *Facts) jsonDetail(d map[string]any) {
	name, _ := d["@type"].(string)
	switch name = name[strings.LastIndexByte(name, '/')+1:]; name {
	case "google.rpc.RetryInfo":
		delay, _ := d["retryDelay"].(string) // "53s", "0.5s"
		if wait, ok := parseDelay(strings.TrimSuffix(delay, "s"), time.Second); ok {
			f.setWait(wait)
		}
	case "google.rpc.QuotaFailure":
		violations, _ := d["violations"].([]any)
		for _, violation := range violations[:min(len(violations), maxDetails)] {
			fields, _ := violation.(map[string]any)
			id, _ := fields["quotaId"].(string)
			f.setQuota(id)
		}
	case "google.rpc.ErrorInfo":
		reason, _ := d["reason"].(string) // a wrong key is 400 API_KEY_INVALID
		f.setCode(reason, place{"reason", "details"})
	}
}

// protoDetail reads one google.rpc detail of a gRPC status.
func (f *Facts) protoDetail(d any) {
	defer quiet()
	v := reflect.ValueOf(d)
	if delay, ok := call(v.MethodByName("GetRetryDelay")); ok { // RetryInfo
		if m, ok := value[interface{ AsDuration() time.Duration }](delay); ok {
			f.setWait(m.AsDuration())
		}
	}
	if list, ok := call(v.MethodByName("GetViolations")); ok && list.Kind() == reflect.Slice { // QuotaFailure
		for i := range min(list.Len(), maxDetails) {
			if m, ok := value[interface{ GetQuotaId() string }](list.Index(i)); ok {
				f.setQuota(m.GetQuotaId())
			}
		}
	}
	if m, ok := d.(interface{ GetReason() string }); ok { // ErrorInfo
		f.setCode(m.GetReason(), place{"reason", "details"})
	}
}
