package stytch

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Generation is the nth further external id of the key whose ExternalID is id, for
// when a deleted object keeps the former ones; 0 is id itself. It ends in "|g" and
// the number, which no escape contains, or if that were longer than 128 in a
// SHA-256 behind "|i": different keys and generations never share one.
func Generation(id string, n int) string {
	if n <= 0 {
		return id
	}
	s := id + "|g" + strconv.Itoa(n)
	if len(s) <= maxExternalID {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return s[:maxExternalID-66] + "|i" + hex.EncodeToString(sum[:])
}
