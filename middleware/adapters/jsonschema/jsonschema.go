package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	sdk "github.com/google/jsonschema-go/jsonschema"

	"github.com/understudy-go/understudy/strategies"
)

// Check is a schema that answers must keep; see [For], [Of] and [Tool].
type Check struct {
	tool   string // whose arguments; "": the answer's text
	schema *sdk.Resolved
	err    error
}

var (
	_ strategies.AnswerCheck = (*Check)(nil)
	_ fmt.Stringer           = (*Check)(nil)
)

// For checks that an answer is JSON of the shape of T: as encoding/json would read it,
// without fields that T does not have, and with those that are not marked omitempty or
// omitzero.
func For[T any]() *Check {
	schema, err := sdk.For[T](nil)
	if err != nil {
		return &Check{err: wrong(fmt.Sprintf("For[%T]", *new(T)), err)}
	}
	return Of(schema)
}

// Of checks that an answer is JSON that a schema allows.
func Of(schema *sdk.Schema) *Check { return Tool("", schema) }

// Tool checks the arguments of the calls of a tool in an answer. Calls of others pass.
func Tool(name string, schema *sdk.Schema) *Check {
	c := &Check{tool: name}
	if schema == nil {
		c.err = &strategies.ConfigError{Setting: "jsonschema", Problem: "has no schema", Fix: "give it one, or use For with a type"}
		return c
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		c.err = wrong("jsonschema", err)
	}
	c.schema = resolved
	return c
}

// ToolFor is [Tool] for the arguments that a Go type describes.
func ToolFor[Args any](name string) *Check {
	schema, err := sdk.For[Args](nil)
	if err != nil {
		return &Check{err: wrong(fmt.Sprintf("ToolFor[%T]", *new(Args)), err)}
	}
	return Tool(name, schema)
}

func wrong(setting string, err error) error {
	return &strategies.ConfigError{Setting: setting, Problem: "is no schema: " + err.Error(), Fix: "mend it; sdk.For makes one of a Go type"}
}

// Validate says what is wrong with the schema. Build asks for it.
func (c *Check) Validate() error {
	if c == nil {
		return &strategies.ConfigError{Setting: "jsonschema", Problem: "is nil", Fix: "make one by For, Of or Tool"}
	}
	return c.err
}

func (c *Check) String() string {
	if c.tool != "" {
		return fmt.Sprintf("the arguments of %s fit their JSON schema", c.tool)
	}
	return "it fits its JSON schema"
}

// Check reads the answer and compares it with the schema.
func (c *Check) Check(a strategies.Answer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.tool == "" {
		if len(a.Calls) > 0 && strings.TrimSpace(a.Text) == "" {
			return nil
		}
		return c.fits("the answer", a.Text)
	}
	for _, call := range a.Calls {
		if call.Name != c.tool {
			continue
		}
		arguments := call.Arguments
		if strings.TrimSpace(arguments) == "" {
			arguments = "{}" // which is how a call without any is sent
		}
		if err := c.fits(fmt.Sprintf("the argument object of %q", c.tool), arguments); err != nil {
			return err
		}
	}
	return nil
}

func (c *Check) fits(what, text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	var value any
	if err := d.Decode(&value); err != nil {
		switch {
		case strings.TrimSpace(text) == "":
			return fmt.Errorf("%s is empty: write JSON", what)
		case strings.HasPrefix(strings.TrimSpace(text), "```"):
			return fmt.Errorf("%s stands in a code fence: write the JSON alone", what)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%s is JSON that breaks off: write all of it", what)
		}
		return fmt.Errorf("%s is no JSON: %w", what, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s has something behind its JSON: write the JSON alone", what)
	}
	if err := c.schema.Validate(value); err != nil {
		return fmt.Errorf("%s does not fit its JSON schema: %w", what, err)
	}
	return nil
}
