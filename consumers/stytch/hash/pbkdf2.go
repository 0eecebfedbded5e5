package hash

import (
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// djangoPBKDF2 reads iterations$salt$hash: the salt is text, the hash padded base64.
func djangoPBKDF2(parts []string) (stytch.Fields, error) {
	p := strings.Split(parts[0], "$")
	if len(p) != 3 || p[1] == "" {
		return nil, errShape
	}
	key, err := base64.StdEncoding.DecodeString(p[2])
	if err != nil {
		return nil, errShape
	}
	return pbkdf2("sha256", p[0], []byte(p[1]), key)
}

var mattermostShape = regexp.MustCompile(`^f=(SHA256|SHA512),w=(\d+),l=(\d+)\$([^$]+)\$([^$]+)$`)

// mattermost reads f=…,w=…,l=…$salt$hash, both unpadded base64.
func mattermost(parts []string) (stytch.Fields, error) {
	m := mattermostShape.FindStringSubmatch(parts[0])
	if m == nil {
		return nil, errShape
	}
	salt, err := unpadded(m[4])
	if err != nil {
		return nil, err
	}
	key, err := unpadded(m[5])
	if err != nil {
		return nil, err
	}
	if n, err := positive(m[3]); err != nil || n != len(key) {
		return nil, errShape
	}
	return pbkdf2(strings.ToLower(m[1]), m[2], salt, key)
}

// passlibPBKDF2 reads rounds$salt$hash, both unpadded base64 with '.' for '+'.
func passlibPBKDF2(parts []string) (stytch.Fields, error) {
	p := strings.Split(strings.ReplaceAll(parts[1], ".", "+"), "$")
	if len(p) != 3 {
		return nil, errShape
	}
	salt, err := unpadded(p[1])
	if err != nil {
		return nil, err
	}
	key, err := unpadded(p[2])
	if err != nil {
		return nil, err
	}
	return pbkdf2(parts[0], p[0], salt, key)
}

func pbkdf2(algorithm, iterations string, salt, key []byte) (stytch.Fields, error) {
	n, err := positive(iterations)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 || len(salt) == 0 {
		return nil, errShape
	}
	return stytch.Fields{
		"hash":      base64.StdEncoding.EncodeToString(key),
		"hash_type": "pbkdf_2",
		"pbkdf_2_config": map[string]any{
			"salt":             base64.StdEncoding.EncodeToString(salt),
			"iteration_amount": n,
			"key_length":       len(key),
			"algorithm":        algorithm,
		},
	}, nil
}

// unpadded reads base64 with or without its padding.
func unpadded(s string) ([]byte, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(b) == 0 {
		return nil, errShape
	}
	return b, nil
}
