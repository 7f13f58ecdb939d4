package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}

// ownSchema makes a JSON schema of one of Gemini's own, which is a part of
// OpenAPI's: types are in capitals, and null is a flag.
func (p *problem) ownSchema(path string, raw json.RawMessage) json.RawMessage {
	made := p.schemaOf(p.object(path, raw))
	out, err := json.Marshal(made)
	if err != nil {
		p.say(path, "is no JSON", leaveOut)
	}
	return out
}

func (p *problem) schemaOf(o object) map[string]any {
	made := map[string]any{}
	for _, same := range []string{
		"default", "description", "enum", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength",
		"minProperties", "minimum", "pattern", "required", "title", "format",
	} {
		if raw := o.take(same); raw != nil {
			made[same] = raw
		}
	}
	o.leave("propertyOrdering")
	if example := o.take("example"); example != nil {
		made["examples"] = []json.RawMessage{example}
	}
	kind, nullable := strings.ToLower(o.str("type")), o.flag("nullable")
	switch {
	case kind == "" || kind == "type_unspecified":
	case nullable:
		made["type"] = []string{kind, "null"}
	default:
		made["type"] = kind
	}
	if o.has("items") {
		made["items"] = p.schemaOf(o.object("items"))
	}
	if several := o.objects("anyOf"); len(several) > 0 {
		of := []map[string]any{}
		for _, one := range several {
			of = append(of, p.schemaOf(one))
		}
		made["anyOf"] = of
	}
	if o.has("properties") {
		all, properties := map[string]any{}, o.object("properties")
		for name := range properties.fields {
			all[name] = p.schemaOf(p.object(fmt.Sprintf("%s.%s", properties.path, brief(name)), properties.fields[name]))
		}
		made["properties"] = all
	}
	o.done()
	return made
}
