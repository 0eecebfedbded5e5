package hash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
)

// password is what every hash in known was made from, by Python's hashlib and
// crypt(3), not by the code under test.
const password = "correct horse"

func phcArgon(variant string) string {
	salt := []byte("0123456789abcdef")
	key := xargon2.IDKey([]byte(password), salt, 1, 64, 2, 32)
	if variant == "argon2i" {
		key = xargon2.Key([]byte(password), salt, 1, 64, 2, 32)
	}
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$%s$v=19$m=64,t=1,p=2$%s$%s", variant, enc(salt), enc(key))
}

var known = []struct {
	class  Class
	legacy string
}{
	{Bcrypt, "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{Bcrypt, "$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{Bcrypt, "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{Bcrypt, "bcrypt$$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{Argon2id, phcArgon("argon2id")},
	{Argon2i, phcArgon("argon2i")},
	{Argon2id, "argon2" + phcArgon("argon2id")},
	{DjangoPBKDF2, "pbkdf2_sha256$1000$seasalt12$LJ9fn3pQS/rsdXPFQk/Wuje22q/pjlmcegWRwgq7lw8="},
	{MattermostHash, "$pbkdf2$f=SHA256,w=1000,l=32$AAECAwQFBgcICQoLDA0ODw$yRTMTwbMbo9G0VfjobWqerzuuxe7BETNTErBbKKumGQ"},
	{MattermostHash, "$pbkdf2$f=SHA512,w=1000,l=64$AAECAwQFBgcICQoLDA0ODw$Xpx07WjVx4vCIvrmBRj8uOoVVtGqJqtUv2J5bhizSQs7osCteF7W4A61dZDqSIqQjO+dxO6p5FT/Uy7QRBXSXA"},
	{PasslibPBKDF2, "$pbkdf2-sha512$1000$................$T0uKFcJpXTWjE47KfpT3h/Gp5AqhK1IGKKAbuOfmwyZWmTk/UobjZzXU3bTw58FrF7toSbZeEWugYodpyYuR5Q"},
	{PHCScrypt, "$scrypt$ln=4,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$Q7EcH175P/kcU7JE2HRU+qTRrq/BS6UbCRYPdBaC5y8"},
	{DjangoScrypt, "scrypt$1024$seasalt12$8$1$J+uR2I2qqG8dD2kh83E6RDRIP5cl9QMWFT91s+0lLoaD24K6CCqU0hfIh9HuMNj8Ci7E8IpQOWG6Cvs7/VX68g=="},
	{BetterAuth, "00112233445566778899aabbccddeeff:13af89ff6a88bb0fb3277e79ba724c6c0731b15919ca892969d63abd1534b867d110179e3bc8af39995ede0f9b2ac14b2b97573df10ba3802c498dbeb61e4f64"},
	{MD5, "3CB4e732631f47e6eb961f34554b7cde"},
	{SHA1, "2f9e53523b62abc141a2b4d6019d23cba835dbd0"},
	{SHA512, "56b698defedb5a435b634afe3320bbaf3fdcd920b6c503a446fc7b7a776b298d479d1ba6a8b617808eb0bf579ce9a95d668347bcab7149085ac93cb27995197b"},
}

func TestConvertedMaterialVerifies(t *testing.T) {
	t.Parallel()
	for _, tt := range known {
		t.Run(tt.legacy[:12], func(t *testing.T) {
			t.Parallel()
			c, err := Convert(tt.legacy, Options{PlainDigests: true})
			if err != nil {
				t.Fatal(err)
			}
			if c.Class != tt.class || !Supported(c.Class) {
				t.Errorf("class %s (supported %v), want %s", c.Class, Supported(c.Class), tt.class)
			}
			if !verify(t, c.Fields, password) {
				t.Error("the converted hash does not verify the password it was made from")
			}
			if verify(t, c.Fields, password+"x") {
				t.Error("the converted hash verifies another password")
			}
		})
	}
}

// TestPHPass uses the format's own published example.
func TestPHPass(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"$P$", "$H$"} {
		c, err := Convert(prefix+"9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Class != PHPass || !verify(t, c.Fields, "test12345") || verify(t, c.Fields, "test12346") {
			t.Errorf("%s: class %s does not verify", prefix, c.Class)
		}
	}
}

func TestNoPassword(t *testing.T) {
	t.Parallel()
	for _, legacy := range []string{"", "!", "!Zc1aGAb3kCcoOTU8aTnHTVRM1D1ANV3RJzDgEUUc"} {
		c, err := Convert(legacy, Options{})
		if err != nil || c.Class != NoPassword || c.Fields != nil {
			t.Errorf("got %+v, %v: want no password", c, err)
		}
	}
}

// TestUnsupported: every format without a type is named, and a damaged hash is
// named after its format; neither error carries any part of the hash (invariant 8).
func TestUnsupported(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		class  Class
		legacy string
	}{
		{ArgonD, "$argon2d$v=19$m=64,t=1,p=2$MDEyMzQ1Njc4OWFiY2RlZg$SECRETPART"},
		{BcryptX, "$2x$04$SECRETPART"},
		{BcryptX, "$2$04$SECRETPART"},
		{BcryptPrehashed, "bcrypt_sha256$$2b$12$SECRETPART"},
		{FirebaseScrypt, "$fbscrypt$v=1,n=14,r=8,p=1,ss=SECRETPART$"},
		{PBKDF2SHA1, "pbkdf2_sha1$1000$SECRETPART$x"},
		{PBKDF2SHA1, "$pbkdf2$1000$SECRETPART$x"},
		{CryptMD5, "$1$SECRETPART$x"},
		{CryptSHA, "$6$saltsalt$SECRETPART"},
		{CryptSHA, "$5$saltsalt$SECRETPART"},
		{Yescrypt, "$y$j9T$SECRETPART"},
		{LDAP, "{SSHA}SECRETPART"},
		{PlainHex, "3cb4e732631f47e6eb961f34554b7cde"},
		{Unknown, "SECRETPART"},
		{Unknown, "3cb4e732631f47e6eb961f34554b7cdz"},
		{Bcrypt, "$2b$03$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
		{Bcrypt, "$2b$32$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
		{Bcrypt, "$2b$04$SECRETPART"},
		{Argon2id, "$argon2id$m=64,t=1,p=2$MDEyMzQ1Njc4OWFiY2RlZg$SECRETPART"},
		{Argon2id, "$argon2id$v=16$m=64,t=1,p=2$MDEyMzQ1Njc4OWFiY2RlZg$SECRETPART"},
		{Argon2i, "$argon2i$v=19$m=0,t=1,p=2$MDEyMzQ1Njc4OWFiY2RlZg$SECRETPART"},
		{DjangoPBKDF2, "pbkdf2_sha256$1000$seasalt12"},
		{DjangoPBKDF2, "pbkdf2_sha256$99999999999$seasalt12$LJ9fn3pQS/rsdXPFQk/Wuje22q/pjlmcegWRwgq7lw8="},
		{DjangoPBKDF2, "pbkdf2_sha256$1000$$LJ9fn3pQS/rsdXPFQk/Wuje22q/pjlmcegWRwgq7lw8="},
		{MattermostHash, "$pbkdf2$f=SHA1,w=1000,l=32$AAECAwQFBgcICQoLDA0ODw$SECRETPART"},
		{MattermostHash, "$pbkdf2$f=SHA256,w=1000,l=31$AAECAwQFBgcICQoLDA0ODw$yRTMTwbMbo9G0VfjobWqerzuuxe7BETNTErBbKKumGQ"},
		{PHCScrypt, "$scrypt$ln=19,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$Q7EcH175P/kcU7JE2HRU+qTRrq/BS6UbCRYPdBaC5y8"},
		{PHCScrypt, "$scrypt$ln=64,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$Q7EcH175P/kcU7JE2HRU+qTRrq/BS6UbCRYPdBaC5y8"},
		{DjangoScrypt, "scrypt$1000$seasalt12$8$1$J+uR2I2qqG8dD2kh83E6RDRIP5cl9QMWFT91s+0lLoaD24K6CCqU0hfIh9HuMNj8Ci7E8IpQOWG6Cvs7/VX68g=="},
		{PHPass, "$P$9SECRETPART"},
	} {
		_, err := Convert(tt.legacy, Options{})
		var u *Unsupported
		if !errors.As(err, &u) || u.Class != tt.class {
			t.Errorf("got %v, want class %s unsupported", err, tt.class)
			continue
		}
		if strings.Contains(err.Error(), "SECRETPART") || strings.Contains(err.Error(), "seasalt") {
			t.Errorf("the error carries a part of the hash: %v", err)
		}
	}
}

// FuzzConvert: whatever stands in the column, Convert answers with fields or a class.
func FuzzConvert(f *testing.F) {
	for _, k := range known {
		f.Add(k.legacy)
	}
	f.Fuzz(func(t *testing.T, legacy string) {
		c, err := Convert(legacy, Options{PlainDigests: true})
		if err == nil && c.Class != NoPassword && (c.Fields["hash"] == "" || c.Fields["hash_type"] == nil) {
			t.Errorf("class %s: no error and no hash", c.Class)
		}
	})
}
