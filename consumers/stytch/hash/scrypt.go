package hash

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// maxScryptN is the largest N that Stytch takes without asking its support.
const maxScryptN = 262144

var phcScryptShape = regexp.MustCompile(`^ln=(\d+),r=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$`)

// phcScrypt reads ln=…,r=…,p=…$salt$hash, both unpadded base64. It is sent with
// its parameters spelt out, like the other scrypt formats.
func phcScrypt(parts []string) (stytch.Fields, error) {
	m := phcScryptShape.FindStringSubmatch(parts[0])
	if m == nil {
		return nil, errShape
	}
	ln, err := positive(m[1])
	if err != nil {
		return nil, err
	}
	salt, err := unpadded(m[4])
	if err != nil {
		return nil, err
	}
	key, err := unpadded(m[5])
	if err != nil {
		return nil, err
	}
	return scryptText(1<<min(ln, 30), m[2], m[3], salt, key)
}

// djangoScrypt reads N$salt$r$p$hash: the salt is text, the hash padded base64.
func djangoScrypt(parts []string) (stytch.Fields, error) {
	p := strings.Split(parts[0], "$")
	if len(p) != 5 || p[1] == "" {
		return nil, errShape
	}
	n, err := positive(p[0])
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(p[4])
	if err != nil {
		return nil, errShape
	}
	return scryptText(n, p[2], p[3], []byte(p[1]), key)
}

// betterAuth reads salt:key. The salt is used as the text that it is, not as the
// bytes that its digits spell; N, r and p are the product's constants. It brings a
// password to Unicode form NFKC before hashing: a password that form changes
// verifies only if whoever verifies does the same.
func betterAuth(parts []string) (stytch.Fields, error) {
	key, err := hex.DecodeString(parts[1])
	if err != nil {
		return nil, errShape
	}
	return scrypt(16384, 16, 1, []byte(parts[0]), key)
}

func scryptText(n int, r, p string, salt, key []byte) (stytch.Fields, error) {
	rn, err := positive(r)
	if err != nil {
		return nil, err
	}
	pn, err := positive(p)
	if err != nil {
		return nil, err
	}
	return scrypt(n, rn, pn, salt, key)
}

func scrypt(n, r, p int, salt, key []byte) (stytch.Fields, error) {
	switch {
	case n < 2 || n&(n-1) != 0:
		return nil, errors.New("its scrypt N is not a power of two")
	case n > maxScryptN:
		return nil, errors.New("its scrypt N is over 262144, which Stytch takes only after asking its support")
	case len(key) == 0:
		return nil, errShape
	}
	return stytch.Fields{
		"hash":      base64.StdEncoding.EncodeToString(key),
		"hash_type": "scrypt",
		"scrypt_config": map[string]any{
			"salt":        base64.StdEncoding.EncodeToString(salt),
			"n_parameter": n,
			"r_parameter": r,
			"p_parameter": p,
			"key_length":  len(key),
		},
	}, nil
}
