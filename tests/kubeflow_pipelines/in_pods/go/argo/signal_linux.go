// What Argo's executor does with signals on Linux: the one file that the published archive of its module lacks, written
// anew for the tests.
package os_specific

import (
	"os"
	"syscall"

	"github.com/argoproj/argo-workflows/v3/util/errors"
)

// Term asks a process to end.
var Term = syscall.SIGTERM

// CanIgnoreSignal says of which signals the container's command is not told: those of the Go runtime, and of children.
func CanIgnoreSignal(s os.Signal) bool {
	return s == syscall.SIGCHLD || s == syscall.SIGURG
}

// Setpgid gives a command a group of its own, so that Kill reaches its children too.
func Setpgid(a *syscall.SysProcAttr) {
	a.Setpgid = true
}

// Kill sends a signal to the group of a process.
func Kill(pid int, s syscall.Signal) error {
	if group, err := syscall.Getpgid(pid); err == nil {
		pid = -group
	}
	return syscall.Kill(pid, s)
}

// Wait waits for a process; its exit code is in the error, 128 and more where a signal ended it.
func Wait(process *os.Process) error {
	state, err := process.Wait()
	if err != nil {
		return err
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return errors.NewExitErr(128 + int(status.Signal()))
	}
	return errors.NewExitErr(state.ExitCode())
}
