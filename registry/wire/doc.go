// Package wire is the HTTP contract of a registry (DESIGN 10, 12), for both ends of the wire: paths, media
// types, header names, limits, the JSON bodies, and problem documents with the one table from error kinds
// to statuses. It opens no connection and knows no state; node/api answers with it and registry/client asks.
//
// Outside DID Resolution every body is camelCase, a time is RFC 3339 in UTC with milliseconds, and what is
// absent is left out, never null. DID Resolution (resolution.go) follows the W3C's rules instead.
//
// Start at paths.go, then record.go for the answers and problem.go for the errors.
package wire
