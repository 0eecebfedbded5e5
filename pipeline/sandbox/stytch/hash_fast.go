package stytch

import (
	"crypto/md5"  //nolint:gosec // legacy systems hold such hashes; Stytch takes them
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha512"
	"crypto/subtle"
	"strings"
)

func md5Digest(b []byte) []byte {
	d := md5.Sum(b) //nolint:gosec // as above
	return d[:]
}

func sha1Digest(b []byte) []byte {
	d := sha1.Sum(b) //nolint:gosec // as above
	return d[:]
}

func sha512Digest(b []byte) []byte {
	d := sha512.Sum512(b)
	return d[:]
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// phpass: $P$ or $H$, a character for the logarithm of the rounds, 8 characters of
// salt, 22 of hash, in an alphabet of its own with the low bits first.
const (
	phpassAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	phpassLength   = 34
)

func phpassHash(sent string) (verifier, error) {
	if !strings.HasPrefix(sent, "$P$") && !strings.HasPrefix(sent, "$H$") {
		return nil, refuse("invalid_phpass_hash_prefix", "A phpass hash begins with $P$ or $H$.")
	}
	if len(sent) != phpassLength || strings.Trim(sent[3:], phpassAlphabet) != "" {
		return nil, refuse("invalid_phpass_hash_format", "The hash is not a phpass hash.")
	}
	log := strings.IndexByte(phpassAlphabet, sent[3])
	if log < 7 || log > 30 {
		return nil, refuse("invalid_phpass_hash_format", "The rounds of the phpass hash are out of range.")
	}
	return func(password string) bool {
		d := md5Digest([]byte(sent[4:12] + password))
		for range 1 << log {
			d = md5Digest(append(d, password...))
		}
		return equal([]byte(phpassEncode(d)), []byte(sent[12:]))
	}, nil
}

func phpassEncode(digest []byte) string {
	var out strings.Builder
	for i := 0; i < len(digest); i += 3 {
		group := digest[i:min(i+3, len(digest))]
		bits := 0
		for j, b := range group {
			bits |= int(b) << (8 * j)
		}
		for range len(group) + 1 {
			out.WriteByte(phpassAlphabet[bits&63])
			bits >>= 6
		}
	}
	return out.String()
}
