// Package rehearsal makes of a pipeline's configuration one that writes to stand-ins,
// of the ledger that such a run leaves a report, and the time in which it runs. What the
// stand-ins are is the command's business (pipeline/cli/rehearse).
package rehearsal
