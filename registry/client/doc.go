// Package client talks to one registry over HTTP (DESIGN 12): it submits operations and statements, fetches
// records, follows the journal. Errors come back as the *registry.Error that the registry made, so that
// errors.Is(err, registry.Conflict) works across the network.
//
// It does not verify what it is told; package resolver does, from bundles (DESIGN 13). A Client is safe
// for concurrent use.
//
// Start at New in client.go; the calls are in write.go, read.go and events.go, which node answers them in bases.go.
package client
