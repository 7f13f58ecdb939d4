// Package console is a page on which people see the agents at work, and a JSON API
// for programs that do what people would: a chat bot, a script.
//
//	the cast        each agent's health, live
//	a chain         its layers as Explain has them, with the state of each
//	recoveries      a timeline of each of the last calls that something happened to
//	questions       what waits for a person: read it, claim it, decide it
//	the fleet       how many replicas live, and whether their store is away
//	the record      who did what here, when and why
//
// It is an [http.Handler], to be mounted wherever you like:
//
//	desk := inbox.NewDesk()
//	board, err := console.New(console.Settings{
//		Agents: cast.Owners,
//		Inbox:  console.Desk(desk, show), // or an inbox.Inbox
//		Who:    who, // says who a request is from, and what they may do
//	})
//	...
//	b.Observe(board) // each agent's builder
//	...
//	mux.Handle("/console/", board)
//
// # What may be seen, and what may be done
//
// Without Settings.Who the console shows what it has to everybody who can reach it,
// and nobody can change anything. With it, Who decides for each request. Whoever
// changes something has a name, which goes into the record.
//
// Requests and answers are not shown, unless the inbox says how. The
// texts of errors are, without what looks like a secret ([strategies.Redact]), for
// nobody can decide without: an error may quote a request. Settings.ShowError can hold
// them back.
//
// # What it costs
//
// A call that goes well costs nothing: it causes no event. An event costs a lock, and
// the text of its error. The console keeps the last calls (Settings.Calls), at most 64
// steps each, and cuts every text. It starts no goroutine: what is live is looked up
// by those who watch, together, at most five times a second.
//
// The page is part of the package, without a build step. It asks nothing of other
// hosts, and its policy forbids that and every script that is not its own.
package console
