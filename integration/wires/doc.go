// Package wires tests the connections to the outside: TLS and credentials against
// real servers that demand them, and that no secret and no personal data is shown
// anywhere (invariant 8).
package wires
