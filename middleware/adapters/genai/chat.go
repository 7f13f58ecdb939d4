package genai

import sdk "google.golang.org/genai"

// ChatHistory is for Rewind, of an agent that sends to a chat of the client's: a chat
// takes every answer that comes for one, also one that a check refuses, so that a retry
// would go on from there.
//
//	middleware.WrapFunc(send).Rewind(genai.ChatHistory(chat))
func ChatHistory(chat *sdk.Chat) func() (restore func()) {
	if chat == nil {
		return nil // refused by the builder
	}
	return func() func() {
		before := *chat // its history and nothing else changes
		return func() { *chat = before }
	}
}
