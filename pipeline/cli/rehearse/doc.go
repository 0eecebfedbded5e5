// Package rehearse runs a pipeline over its real source against stand-ins that end with
// it: the Stytch simulator and the embedded broker in this process, and a PostgreSQL of
// its own for the ledger (or an empty database that the person names).
//
// Nothing else is written, and nothing stays, whatever ends the process: at the source
// there is a temporary slot for the moment in which it exports a snapshot, and the
// server drops it with its session. On this machine there is one directory, for the
// ledger; a process that is killed cannot remove it, so that the next rehearsal does.
package rehearse
