package stytch

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxExternalID is Stytch's limit in bytes.
const maxExternalID = 128

// ExternalID is the external id of a key: prefix and key, escaped into Stytch's
// alphabet [A-Za-z0-9._|-]. Different keys under one prefix have different ids: a
// byte outside the alphabet, and the bar itself, becomes a bar with two hexadecimal
// digits. What a URL or Stytch could take for something else (dots alone, a look-alike
// of Stytch's own ids) has its first byte escaped; what is longer than 128 keeps
// its head and ends in its SHA-256 behind "|h", which no escape contains (hazard A21).
func ExternalID(prefix, key string) string {
	s := prefix + key
	var b strings.Builder
	for i := range len(s) {
		if !plain(s[i]) || i == 0 && ambiguous(s) {
			b.WriteByte('|')
			b.WriteString(hex.EncodeToString([]byte{s[i]}))
			continue
		}
		b.WriteByte(s[i])
	}
	id := b.String()
	switch {
	case id == "":
		return "|"
	case len(id) > maxExternalID:
		sum := sha256.Sum256([]byte(s))
		return id[:maxExternalID-66] + "|h" + hex.EncodeToString(sum[:])
	}
	return id
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

func ambiguous(s string) bool {
	lower := strings.ToLower(s)
	return strings.Trim(s, ".") == "" || strings.HasPrefix(lower, "member-") || strings.HasPrefix(lower, "organization-")
}
