package harness

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }
