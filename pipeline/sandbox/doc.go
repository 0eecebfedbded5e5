// Package sandbox holds what stands in for the outside world, so that anyone can
// run everything on one machine in one command: an ephemeral PostgreSQL from
// local binaries (postgres), an embedded Kafka broker (kafka) and schema registry
// (registry), and the Stytch simulator (stytch).
//
// Nothing here is for keeping data.
package sandbox
