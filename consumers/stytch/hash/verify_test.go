package hash

import (
	"bytes"
	"crypto/md5"
	cryptopbkdf2 "crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	stdhash "hash"
	"strings"
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
	xbcrypt "golang.org/x/crypto/bcrypt"
	xscrypt "golang.org/x/crypto/scrypt"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// verify checks a password against a migrate body as Stytch documents its forms.
func verify(t *testing.T, f stytch.Fields, password string) bool {
	t.Helper()
	hash, pw := f["hash"].(string), []byte(password)
	switch f["hash_type"] {
	case "bcrypt":
		return xbcrypt.CompareHashAndPassword([]byte(hash), pw) == nil
	case "argon_2i", "argon_2id":
		p := strings.Split(hash, "$")
		salt, key := decode(t, base64.RawStdEncoding, p[4]), decode(t, base64.RawStdEncoding, p[5])
		derive := xargon2.IDKey
		if f["hash_type"] == "argon_2i" {
			derive = xargon2.Key
		}
		return bytes.Equal(key, derive(pw, salt, 1, 64, 2, uint32(len(key)))) // the parameters of phcArgon
	case "pbkdf_2":
		c := f["pbkdf_2_config"].(map[string]any)
		algorithm := map[string]func() stdhash.Hash{"sha256": sha256.New, "sha512": sha512.New}[c["algorithm"].(string)]
		key, err := cryptopbkdf2.Key(algorithm, password, decode(t, base64.StdEncoding, c["salt"].(string)), c["iteration_amount"].(int), c["key_length"].(int))
		return err == nil && bytes.Equal(key, decode(t, base64.StdEncoding, hash))
	case "scrypt":
		c := f["scrypt_config"].(map[string]any)
		key, err := xscrypt.Key(pw, decode(t, base64.StdEncoding, c["salt"].(string)), c["n_parameter"].(int), c["r_parameter"].(int), c["p_parameter"].(int), c["key_length"].(int))
		return err == nil && bytes.Equal(key, decode(t, base64.StdEncoding, hash))
	case "phpass":
		return portable(hash, pw) == hash[12:]
	case "md_5":
		sum := md5.Sum(pw)
		return hex.EncodeToString(sum[:]) == hash
	case "sha_1":
		sum := sha1.Sum(pw)
		return hex.EncodeToString(sum[:]) == hash
	case "sha_512":
		sum := sha512.Sum512(pw)
		return hex.EncodeToString(sum[:]) == hash
	}
	t.Fatalf("hash_type %v is not one of Stytch's", f["hash_type"])
	return false
}

func decode(t *testing.T, e *base64.Encoding, s string) []byte {
	t.Helper()
	b, err := e.DecodeString(s)
	if err != nil {
		t.Fatalf("not the base64 that Stytch reads: %v", err)
	}
	return b
}

// portable computes the tail of a phpass portable hash: MD5, repeated 2^count
// times, in the format's own base 64, least significant bits first.
func portable(hash string, pw []byte) string {
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := md5.Sum(append([]byte(hash[4:12]), pw...))
	for range 1 << strings.IndexByte(digits, hash[3]) {
		sum = md5.Sum(append(sum[:], pw...))
	}
	var out strings.Builder
	for i := 0; i < len(sum); i += 3 {
		v, n := 0, 0
		for j := i; j < min(i+3, len(sum)); j++ {
			v |= int(sum[j]) << (8 * (j - i))
			n++
		}
		for k := range n + 1 {
			out.WriteByte(digits[v>>(6*k)&63])
		}
	}
	return out.String()
}
