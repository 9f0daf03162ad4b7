// Package load is the clients of a registry under fault: they make passports, change them by signed
// operations and read them, at any node and every consistency, and record each call for package check.
//
// A Desk is a few clients that fight over one passport at a time. After ten operations, which is as many as
// a passport may have in an hour (DESIGN 6), or when it is old, the passport is handed over for judgement
// and a new one begun; so every history is short enough to be decided, and a registry of many passports
// grows. Desks share one rate, low enough that the load itself is no fault.
//
// Clients know the nodes' addresses and nothing else: not who leads, nor which node is frozen or cut off.
// That is what makes them ask a deposed leader.
//
// Start at Load in load.go; caller.go makes the requests.
package load
