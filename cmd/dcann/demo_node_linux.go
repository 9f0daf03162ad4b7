package main

import (
	"os/exec"
	"syscall"
)

// endWithParent has the system end the child when this process is killed, and cannot do it.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
