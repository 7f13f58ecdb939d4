package mcp

import (
	"cmp"
	"errors"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/strategies"
)

// ToolError is a result with IsError: the tool itself says that it failed. It is
// an error between the layers only; the caller gets the result, and no error.
//
// The protocol has no codes for it, so it is taken for
// [strategies.ClassInvalidAnswer]: retried at most twice, and nothing the server is
// blamed for. A rule of the builder's Classifier that looks at the Result knows
// more.
type ToolError struct {
	Tool   string
	Result *sdk.CallToolResult
}

func (e *ToolError) Error() string {
	return "understudy: mcp: tool " + e.Tool + " says: " + cmp.Or(text(e.Result), "error")
}

// RecoveryClass is [strategies.ClassInvalidAnswer].
func (e *ToolError) RecoveryClass() strategies.Class { return strategies.ClassInvalidAnswer }

func text(result *sdk.CallToolResult) string {
	var b strings.Builder
	for _, c := range result.Content {
		if t, ok := c.(*sdk.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// OnceError is the failure of a call that must not be made again, by nobody.
type OnceError struct {
	Tool   string
	Reason string
	Err    error // nil: a second call was refused
}

func (e *OnceError) Error() string {
	s := "understudy: mcp: tool " + e.Tool + " is not called again: " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the failure as it was.
func (e *OnceError) Unwrap() error { return e.Err }

// RecoveryClass is [strategies.ClassBlocked]: neither the same server nor another is
// asked; a reduced answer may be given, and a person asked.
func (e *OnceError) RecoveryClass() strategies.Class { return strategies.ClassBlocked }

// judge makes an error of an answer that is one, and gives it a class where
// its code says more than its shape.
func judge(c Call, answer *sdk.CallToolResult, err error) (*sdk.CallToolResult, error) {
	switch {
	case err != nil:
		return nil, strategies.WithClass(class(err), err)
	case answer == nil:
		return nil, strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("understudy: mcp: no result"))
	case answer.IsError:
		return nil, &ToolError{Tool: c.Params.Name, Result: answer}
	}
	return answer, nil
}

func class(err error) strategies.Class {
	if errors.Is(err, sdk.ErrSessionMissing) || errors.Is(err, sdk.ErrConnectionClosed) {
		return strategies.ClassUnauthorized // the session is over; only a new one, or another server, helps
	}
	if coded, ok := errors.AsType[*jsonrpc.Error](err); ok {
		switch coded.Code {
		case sdk.CodeURLElicitationRequired:
			return strategies.ClassInterrupt
		case jsonrpc.CodeParseError, jsonrpc.CodeInvalidRequest, jsonrpc.CodeMethodNotFound, jsonrpc.CodeInvalidParams,
			sdk.CodeHeaderMismatch, sdk.CodeMissingRequiredClientCapabilities, sdk.CodeUnsupportedProtocolVersion:
			return strategies.ClassBadRequest
		}
	}
	return strategies.ClassUnclassified
}
