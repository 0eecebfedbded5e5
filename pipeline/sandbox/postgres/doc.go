// Package postgres runs ephemeral PostgreSQL servers from binaries that are on
// the machine, or installs them: with apt as root, else from Maven Central or
// npm where their client is there.
package postgres
