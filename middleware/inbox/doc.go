// Package inbox brings a question before a person and the decision back.
//
// It is three in the morning, and no agent can answer. The intervene layer of
// package middleware makes an incident of the call: who failed, how often, with
// which errors, and until when an answer is of use. Somebody has to see it and
// to decide. Three ways are here:
//
//	no agent could answer
//	         │
//	      incident
//	         │
//	         ├──► Desk ──────► Incidents() ──► a web page, a chat bot, a test
//	         │     ▲                                      │
//	         │     └────────── Resolve(id, decision) ◄────┘
//	         │
//	         ├──► Terminal ──► prints it, and reads one line
//	         │
//	         └──► Inbox ─────► a record in a store that all processes share:
//	                           listed, watched, claimed and decided in any of them
//	         │
//	      decision: retry now, answer, use another agent, abort
//	         │
//	the call goes on, or ends with all its errors
//
// [Desk] is for a program that serves many callers: the incidents come out of a
// channel, and the decision goes in by its id. [Terminal] is for programs with a
// person in front of them. [Inbox] is for fleets, and for people who answer tomorrow:
// with Park the caller gets a ticket instead of waiting, and whatever process is there
// then goes on with the call ([Resume], [Wait]). All are a [strategies.Intervenor]; so
// is any function, by way of [strategies.IntervenorFunc].
//
//	desk := inbox.NewDesk()
//	narrator, err := middleware.Wrap(agent).
//		Intervene(middleware.Intervention{Ask: desk, Deadline: 10 * time.Minute}).
//		Build()
//	...
//	for incident := range desk.Incidents() {
//		show(incident) // and later: desk.Resolve(incident.ID, decision)
//	}
//
// No decision is ever made up: silence, an expired question and the end of the
// input are no decision, and the layer does what its Default says.
package inbox
