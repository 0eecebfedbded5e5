// Package testenv gives tests real servers: a fresh database on a shared
// PostgreSQL, a Kafka with topics of one's own, a schema registry.
//
// One PostgreSQL and one broker serve a whole test run. `make test` starts them
// and names them in the environment; a plain `go test` starts its own.
package testenv
