package stytch

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/scrypt"
)

// Bounds that keep one verification from taking the machine.
const (
	maxScryptN     = 262_144 // Stytch's own
	maxArgonMemory = 4 << 20 // KiB
	argonVersion   = 19      // the only one that x/crypto computes
)

type argonParams struct {
	Salt       string `json:"salt"`
	Iterations int    `json:"iteration_amount"`
	Memory     int    `json:"memory"` // KiB
	Threads    int    `json:"threads"`
	KeyLength  int    `json:"key_length"`
}

func (p argonParams) check() error {
	switch {
	case p.Salt == "":
		return refuse("invalid_argon_2_salt", "The salt is empty.")
	case p.Iterations < 1:
		return refuse("invalid_argon_2_iteration_amount", "iteration_amount must be 1 or more.")
	case p.Threads < 1 || p.Threads > 255:
		return refuse("invalid_argon_2_threads", "threads must be 1 to 255.")
	case p.Memory < 8*p.Threads || p.Memory > maxArgonMemory:
		return refuse("invalid_argon_2_memory", "memory must be at least 8 KiB a thread and at most 4 GiB.")
	case p.KeyLength < 4:
		return refuse("invalid_argon_2_key_length", "key_length must be 4 or more.")
	}
	return nil
}

func argon2Hash(hashType, sent string, raw json.RawMessage) (verifier, error) {
	var p argonParams
	var want []byte
	if strings.HasPrefix(sent, "$") {
		name, params, salt, encoded, ok := phc(sent)
		version, versioned := params["v"]
		if !ok || name != strings.Replace(hashType, "_", "", 1) || !versioned || version != argonVersion {
			return nil, refuse("invalid_hash", "The hash is not an encoded Argon2 hash of its type.")
		}
		want = encoded
		p = argonParams{Salt: string(salt), Iterations: params["t"], Memory: params["m"], Threads: params["p"], KeyLength: len(want)}
	} else {
		var err error
		if want, err = hex.DecodeString(sent); err != nil {
			return nil, refuse("invalid_hash", "The hash is neither encoded nor hexadecimal.")
		}
		if err := config(raw, &p); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(want) != p.KeyLength {
		return nil, refuse("argon_2_key_length_mismatch", "key_length does not match the hash.")
	}
	key := argon2.Key
	if hashType == "argon_2id" {
		key = argon2.IDKey
	}
	return func(password string) bool {
		return equal(key([]byte(password), []byte(p.Salt), uint32(p.Iterations), uint32(p.Memory), uint8(p.Threads), uint32(p.KeyLength)), want)
	}, nil
}

type scryptParams struct {
	Salt      string `json:"salt"` // base64
	N         int    `json:"n_parameter"`
	R         int    `json:"r_parameter"`
	P         int    `json:"p_parameter"`
	KeyLength int    `json:"key_length"`
}

func scryptHash(sent string, raw json.RawMessage) (verifier, error) {
	var p scryptParams
	var salt, want []byte
	if strings.HasPrefix(sent, "$") {
		name, params, s, encoded, ok := phc(sent)
		ln := params["ln"]
		if !ok || name != "scrypt" || ln < 0 || ln > 30 {
			return nil, refuse("invalid_hash", "The hash is not an encoded scrypt hash.")
		}
		salt, want = s, encoded
		p = scryptParams{N: 1 << ln, R: params["r"], P: params["p"], KeyLength: len(want)}
	} else {
		if err := config(raw, &p); err != nil {
			return nil, err
		}
		var err error
		if want, err = anyBase64(sent); err != nil {
			return nil, refuse("invalid_base64_scrypt_hash", "The hash is not base64.")
		}
		if salt, err = anyBase64(p.Salt); err != nil {
			return nil, refuse("invalid_base64_scrypt_salt", "The salt is not base64.")
		}
	}
	switch {
	case p.N < 2 || p.N > maxScryptN || p.N&(p.N-1) != 0:
		return nil, refuse("invalid_scrypt_n_parameter", "n_parameter must be a power of two above 1 and at most 262144.")
	case p.R < 1 || p.P < 1 || p.R > 1<<20 || p.P > 1<<20 || p.R*p.P >= 1<<30:
		return nil, refuse("invalid_scrypt_parameters", "r_parameter or p_parameter is out of range.")
	case len(salt) == 0:
		return nil, refuse("invalid_scrypt_salt_length", "The salt is empty.")
	case len(want) != p.KeyLength:
		return nil, refuse("scrypt_key_length_mismatch", "key_length does not match the hash.")
	}
	return func(password string) bool {
		got, err := scrypt.Key([]byte(password), salt, p.N, p.R, p.P, p.KeyLength)
		return err == nil && equal(got, want)
	}, nil
}

type pbkdf2Params struct {
	Salt       string `json:"salt"` // base64
	Iterations int    `json:"iteration_amount"`
	KeyLength  int    `json:"key_length"`
	Algorithm  string `json:"algorithm"` // "": sha256
}

func pbkdf2Hash(sent string, raw json.RawMessage) (verifier, error) {
	var p pbkdf2Params
	if err := config(raw, &p); err != nil {
		return nil, err
	}
	want, err := anyBase64(sent)
	if err != nil {
		return nil, refuse("invalid_pbkdf_2_hash", "The hash is not base64.")
	}
	salt, err := anyBase64(p.Salt)
	if err != nil || len(salt) == 0 {
		return nil, refuse("invalid_pbkdf_2_salt", "The salt is empty or not base64.")
	}
	var digest func() hash.Hash
	switch p.Algorithm {
	case "", "sha256":
		digest = sha256.New
	case "sha512":
		digest = sha512.New
	default:
		return nil, refuse("invalid_pbkdf_2_algorithm", "The algorithm must be sha256 or sha512.")
	}
	if p.Iterations < 1 {
		return nil, refuse("invalid_pbkdf_2_iteration_amount", "iteration_amount must be 1 or more.")
	}
	if len(want) != p.KeyLength {
		return nil, refuse("pbkdf_2_key_length_mismatch", "key_length does not match the hash.")
	}
	return func(password string) bool {
		got, err := pbkdf2.Key(digest, password, salt, p.Iterations, p.KeyLength)
		return err == nil && equal(got, want)
	}, nil
}
