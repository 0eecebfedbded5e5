// Package hash recognises a legacy password hash by its format and turns it into
// the fields of Stytch's passwords/migrate.
//
// A format that Stytch cannot take is named by its Class, for the count before
// the run and the loss after it. Errors and classes never carry a hash (invariant 8).
package hash

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// Class names a hash format, or the absence of a password. It is fit for counts,
// labels and messages.
type Class string

// The classes that Convert turns into Stytch's types.
const (
	Bcrypt          Class = "bcrypt"             // $2a$, $2b$, $2y$
	Argon2i         Class = "argon2i"            // PHC string, Django's too
	Argon2id        Class = "argon2id"           // PHC string, Django's too
	DjangoPBKDF2    Class = "django_pbkdf2"      // pbkdf2_sha256$…
	MattermostHash  Class = "mattermost_pbkdf2"  // $pbkdf2$f=SHA256,w=…,l=…$…
	PasslibPBKDF2   Class = "passlib_pbkdf2"     // $pbkdf2-sha256$…, $pbkdf2-sha512$…
	PHCScrypt       Class = "scrypt"             // $scrypt$ln=…,r=…,p=…$…
	DjangoScrypt    Class = "django_scrypt"      // scrypt$N$salt$r$p$…
	BetterAuth      Class = "better_auth_scrypt" // salt:key, hexadecimal
	PHPass          Class = "phpass"             // $P$, $H$
	MD5             Class = "md5"                // 32 hexadecimal digits, only when asked for
	SHA1            Class = "sha1"               // 40 hexadecimal digits, only when asked for
	SHA512          Class = "sha512"             // 128 hexadecimal digits, only when asked for
	NoPassword      Class = "none"               // empty, or Django's "!…"
	ArgonD          Class = "argon2d"            // here and below: no type in Stytch
	BcryptX         Class = "bcrypt_2x"          // made by a broken implementation
	BcryptPrehashed Class = "bcrypt_prehashed"   // Django's bcrypt_sha256$, passlib's $bcrypt-sha256$
	FirebaseScrypt  Class = "firebase_scrypt"
	PBKDF2SHA1      Class = "pbkdf2_sha1"
	CryptMD5        Class = "crypt_md5"
	CryptSHA        Class = "crypt_sha"
	Yescrypt        Class = "yescrypt"
	LDAP            Class = "ldap"
	PlainHex        Class = "plain_hex" // a plain digest that nobody asked to take as one
	Unknown         Class = "unknown"
)

// Options widen what Convert takes.
type Options struct {
	// PlainDigests takes 32, 40 and 128 hexadecimal digits as unsalted MD5, SHA-1
	// and SHA-512. Without it they are unsupported: a salt kept in another column,
	// or a pepper, would make every one of them a password that never verifies.
	PlainDigests bool
}

// Converted is a hash ready for Stytch.
type Converted struct {
	Class Class
	// Fields are hash, hash_type and the type's config: the part of a
	// passwords/migrate body that depends on the format. nil for NoPassword.
	Fields stytch.Fields
}

// Unsupported is the error of a hash that Stytch cannot take.
type Unsupported struct {
	Class Class
	Why   string // never a part of the hash
}

// Error names class and reason.
func (e *Unsupported) Error() string {
	return fmt.Sprintf("password hash of class %s: %s", e.Class, e.Why)
}

// format is a recogniser and its converter; without a converter the class is one
// that Stytch has no type for.
type format struct {
	class   Class
	pattern *regexp.Regexp
	convert func(parts []string) (stytch.Fields, error)
}

// formats are tried in order: a prefix decides, the rest is validated by the
// converter so that a damaged hash is named after its format.
var formats = []format{
	{Bcrypt, regexp.MustCompile(`^(?:bcrypt\$)?(\$2[aby]\$.*)$`), bcrypt},
	{BcryptX, regexp.MustCompile(`^\$2x?\$`), nil},
	{BcryptPrehashed, regexp.MustCompile(`^(?:bcrypt_sha256\$|\$bcrypt-sha256\$)`), nil},
	{Argon2id, regexp.MustCompile(`^(?:argon2)?(\$argon2id\$.*)$`), argon2("argon_2id")},
	{Argon2i, regexp.MustCompile(`^(?:argon2)?(\$argon2i\$.*)$`), argon2("argon_2i")},
	{ArgonD, regexp.MustCompile(`^(?:argon2)?\$argon2d\$`), nil},
	{DjangoPBKDF2, regexp.MustCompile(`^pbkdf2_sha256\$(.*)$`), djangoPBKDF2},
	{MattermostHash, regexp.MustCompile(`^\$pbkdf2\$(f=.*)$`), mattermost},
	{PasslibPBKDF2, regexp.MustCompile(`^\$pbkdf2-(sha256|sha512)\$(.*)$`), passlibPBKDF2},
	{PBKDF2SHA1, regexp.MustCompile(`^(?:pbkdf2_sha1\$|\$pbkdf2\$\d)`), nil},
	{PHCScrypt, regexp.MustCompile(`^\$scrypt\$(.*)$`), phcScrypt},
	{DjangoScrypt, regexp.MustCompile(`^scrypt\$(.*)$`), djangoScrypt},
	{FirebaseScrypt, regexp.MustCompile(`^\$fbscrypt\$`), nil},
	{BetterAuth, regexp.MustCompile(`^([0-9a-f]{32}):([0-9a-f]{128})$`), betterAuth},
	{PHPass, regexp.MustCompile(`^(\$[PH]\$.*)$`), phpass},
	{CryptMD5, regexp.MustCompile(`^\$(?:1|apr1)\$`), nil},
	{CryptSHA, regexp.MustCompile(`^\$[56]\$`), nil},
	{Yescrypt, regexp.MustCompile(`^\$(?:y|gy|7)\$`), nil},
	{LDAP, regexp.MustCompile(`^\{[A-Za-z0-9-]+\}`), nil},
}

// digests are the plain digests by their number of hexadecimal digits.
var digests = map[int]struct {
	class Class
	typ   string
}{32: {MD5, "md_5"}, 40: {SHA1, "sha_1"}, 128: {SHA512, "sha_512"}}

var hexDigits = regexp.MustCompile(`^[0-9A-Fa-f]+$`)

// ClassOf is the class of a legacy hash, for counting: Supported says whether it
// can be taken, but only Convert whether this one can.
func ClassOf(legacy string, o Options) Class {
	if legacy == "" || strings.HasPrefix(legacy, "!") {
		return NoPassword
	}
	for _, f := range formats {
		if f.pattern.MatchString(legacy) {
			return f.class
		}
	}
	if d, ok := digests[len(legacy)]; ok && hexDigits.MatchString(legacy) {
		if o.PlainDigests {
			return d.class
		}
		return PlainHex
	}
	return Unknown
}

// Supported says whether Convert takes a class.
func Supported(c Class) bool {
	for _, f := range formats {
		if f.class == c {
			return f.convert != nil
		}
	}
	return c == NoPassword || c == MD5 || c == SHA1 || c == SHA512
}

// Convert turns a legacy hash into what Stytch takes, or says why it cannot.
func Convert(legacy string, o Options) (Converted, error) {
	class := ClassOf(legacy, o)
	switch class {
	case NoPassword:
		return Converted{Class: class}, nil
	case MD5, SHA1, SHA512:
		return Converted{class, stytch.Fields{"hash": strings.ToLower(legacy), "hash_type": digests[len(legacy)].typ}}, nil
	case PlainHex:
		return Converted{}, &Unsupported{class, "a plain digest is not taken unless asked for, and may be salted or peppered"}
	default: // one of formats, or Unknown
	}
	for _, f := range formats {
		if f.class != class {
			continue
		}
		if f.convert == nil {
			return Converted{}, &Unsupported{class, "Stytch has no type for it"}
		}
		fields, err := f.convert(f.pattern.FindStringSubmatch(legacy)[1:])
		if err != nil {
			return Converted{}, &Unsupported{class, err.Error()}
		}
		return Converted{class, fields}, nil
	}
	return Converted{}, &Unsupported{class, "the format is not recognised"}
}

var errShape = errors.New("it does not have the parts of its format")
