package policy

import (
	"encoding/json"
	"reflect"

	"github.com/understudy-go/understudy/strategies"
)

//go:generate go run ./understudy-lint -schema schema.json

// Schema is the JSON schema of a file, for editors: schema.json.
func Schema() []byte {
	recipe := object(reflect.TypeFor[Recipe]())
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Understudy policy", "type": "object", "additionalProperties": false,
		"properties": map[string]any{
			"version":  map[string]any{"const": 1},
			"shadow":   map[string]any{"type": "boolean"},
			"defaults": map[string]any{"$ref": "#/$defs/recipe"},
			"agents":   map[string]any{"type": "object", "additionalProperties": map[string]any{"anyOf": []any{map[string]any{"$ref": "#/$defs/recipe"}, map[string]any{"type": "null"}}}},
		},
		"$defs": map[string]any{
			"recipe":   recipe,
			"duration": map[string]any{"type": "string", "pattern": `^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`, "description": "a time with its unit, such as 30s"},
		},
	}, "", "  ")
	if err != nil {
		return nil // a tree of maps
	}
	return append(text, '\n')
}

func object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for _, f := range fieldsOf(t) {
		properties[f.name] = schemaOf(f.is)
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func schemaOf(t reflect.Type) any {
	switch {
	case t == durationType:
		return map[string]any{"$ref": "#/$defs/duration"}
	case t == backoffType:
		return map[string]any{"anyOf": []any{schemaOf(reflect.TypeFor[strategies.Delays]()), object(reflect.TypeFor[strategies.Exponential]())}}
	case reflect.PointerTo(t).Implements(textType):
		return map[string]any{"type": "string"}
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return map[string]any{"anyOf": []any{object(t.Elem()), map[string]any{"enum": []any{nil, false, "off"}}}}
	case t.Kind() == reflect.Pointer:
		return map[string]any{"anyOf": []any{schemaOf(t.Elem()), map[string]any{"enum": []any{nil, false, "off"}}}}
	case t.Kind() == reflect.Struct:
		return object(t)
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	case t == moneyType, t.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "integer"}
}
