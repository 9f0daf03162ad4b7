// Package api is the HTTP server of a registry (DESIGN 12) on echo: one handler file per family of
// routes. The contract itself, bodies and statuses, is registry/wire.
//
// Every read goes the same way: options, consistency gate (gate.go), look-up in the rendered answers
// (cache.go) or in state and rendering (render.go, document.go), reply. Every write: caps and form (body.go),
// parsing with signature, and then the cluster's. Handlers return errors; one adapter renders them
// (errors.go). Start at server.go, which lists the routes.
//
// Reading a hot passport is what this server does most, so that path (identifier in resolution.go,
// rendered.send in cache.go) does little beyond what echo does: no goroutine, timer, context value or log
// line, and header values that were made when the answer was rendered.
package api
