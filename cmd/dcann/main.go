// Command dcann is the whole of DCANN in one binary: a registry node, the wallet of a person, the desk of
// an organisation and of a registry's operator, and a demonstration of how they play together.
//
// Each family of commands is one file here with its newXCommand functions; they are listed in root.go.
// What a command does lives in the packages below; here are flags, output and exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	syscall.Umask(0o077) // a registry's files and a wallet's are nobody else's to read
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is restored, so that a second one ends a shutdown that hangs.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
