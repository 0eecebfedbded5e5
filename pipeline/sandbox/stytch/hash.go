package stytch

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// hashConfigs are the objects beside a hash; each hash type has its own or none.
type hashConfigs struct {
	MD5    json.RawMessage `json:"md_5_config"`
	SHA1   json.RawMessage `json:"sha_1_config"`
	SHA512 json.RawMessage `json:"sha_512_config"`
	Argon2 json.RawMessage `json:"argon_2_config"`
	Scrypt json.RawMessage `json:"scrypt_config"`
	PBKDF2 json.RawMessage `json:"pbkdf_2_config"`
}

// newPassword checks a hash against its type and learns how to verify it; it does
// not hash.
func newPassword(hashType, hash string, c hashConfigs) (*Password, error) {
	if hash == "" {
		return nil, refuse("invalid_hash", "The hash is empty.")
	}
	p := &Password{HashType: hashType, Hash: hash}
	var err error
	switch hashType {
	case "bcrypt":
		p.verify, err = bcryptHash(hash)
	case "argon_2i", "argon_2id":
		p.Config = sameConfig(c.Argon2)
		p.verify, err = argon2Hash(hashType, hash, p.Config)
	case "scrypt":
		p.Config = sameConfig(c.Scrypt)
		p.verify, err = scryptHash(hash, p.Config)
	case "pbkdf_2":
		p.Config = sameConfig(c.PBKDF2)
		p.verify, err = pbkdf2Hash(hash, p.Config)
	case "md_5":
		p.Config = sameConfig(c.MD5)
		p.verify, err = saltedHash(md5Digest, hash, p.Config, "invalid_md_5_hash")
	case "sha_1":
		p.Config = sameConfig(c.SHA1)
		p.verify, err = saltedHash(sha1Digest, hash, p.Config, "invalid_sha_1_hash")
	case "sha_512":
		p.Config = sameConfig(c.SHA512)
		p.verify, err = saltedHash(sha512Digest, hash, p.Config, "invalid_sha_512_hash")
	case "phpass":
		p.verify, err = phpassHash(hash)
	default:
		return nil, refuse("invalid_hash_type", "The hash type is not supported.")
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

type verifier = func(password string) bool

var bcryptPattern = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

func bcryptHash(hash string) (verifier, error) {
	parts := bcryptPattern.FindStringSubmatch(hash)
	if parts == nil {
		return nil, refuse("invalid_bcrypt_hash", "The hash is not a bcrypt hash.")
	}
	if cost, err := strconv.Atoi(parts[1]); err != nil || cost < bcrypt.MinCost || cost > bcrypt.MaxCost {
		return nil, refuse("invalid_bcrypt_cost", "The cost of the bcrypt hash is out of range.")
	}
	return func(password string) bool {
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	}, nil
}

// saltConfig is the config of md_5, sha_1 and sha_512. Each salt of a config that is
// sent must be in it, empty where there is none.
type saltConfig struct {
	Prepend *string `json:"prepend_salt"`
	Append  *string `json:"append_salt"`
}

func (c saltConfig) around(password string) []byte {
	var salted []byte
	if c.Prepend != nil {
		salted = append(salted, *c.Prepend...)
	}
	salted = append(salted, password...)
	if c.Append != nil {
		salted = append(salted, *c.Append...)
	}
	return salted
}

func saltedHash(digest func([]byte) []byte, hash string, raw json.RawMessage, kind string) (verifier, error) {
	want, err := hex.DecodeString(hash)
	if err != nil || len(want) != len(digest(nil)) {
		return nil, refuse(kind, "The hash is not the hexadecimal form of this hash type.")
	}
	var config saltConfig
	if raw != nil {
		if err := json.Unmarshal(raw, &config); err != nil {
			return nil, badRequest("The config of the hash has the wrong form.")
		}
		if config.Prepend == nil {
			return nil, refuse("invalid_prepend_salt", "prepend_salt is missing.")
		}
		if config.Append == nil {
			return nil, refuse("invalid_append_salt", "append_salt is missing.")
		}
	}
	return func(password string) bool { return equal(digest(config.around(password)), want) }, nil
}

// config reads a hash type's config object, which must be there.
func config(raw json.RawMessage, to any) error {
	if raw == nil {
		return badRequest("The config of the hash is missing.")
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return badRequest("The config of the hash has the wrong form.")
	}
	return nil
}

// anyBase64 takes the standard alphabet with or without padding.
func anyBase64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// phc splits $name$[v=N$]key=number,…$salt$hash. The salt and hash are base64.
func phc(s string) (name string, params map[string]int, salt, hash []byte, ok bool) {
	parts := strings.Split(s, "$")
	if len(parts) < 5 || parts[0] != "" {
		return "", nil, nil, nil, false
	}
	params = map[string]int{}
	for _, group := range parts[2 : len(parts)-2] {
		for pair := range strings.SplitSeq(group, ",") {
			key, value, found := strings.Cut(pair, "=")
			number, err := strconv.Atoi(value)
			if !found || err != nil {
				return "", nil, nil, nil, false
			}
			params[key] = number
		}
	}
	salt, saltErr := anyBase64(parts[len(parts)-2])
	hash, hashErr := anyBase64(parts[len(parts)-1])
	return parts[1], params, salt, hash, saltErr == nil && hashErr == nil && len(hash) > 0
}
