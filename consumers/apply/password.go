package apply

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
)

// LossForeignPassword names a hash that is not taken over because the password in
// Stytch was set by somebody else, most often by the person (hazard A8).
const LossForeignPassword consumers.Loss = "password_changed_in_stytch"

// digester makes keyed digests of values that have few guesses: hashes' and claims'
// (hazard A20). Its key does not rotate.
type digester []byte

func (d digester) of(parts ...string) []byte {
	h := hmac.New(sha256.New, d)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s|", len(p), p)
	}
	return h.Sum(nil)
}

// password is what a desired state says about the password: converted before
// anything is deleted (hazard A7).
type password struct {
	hash   string        // the legacy hash, "" when there is none
	fields stytch.Fields // for passwords/migrate; nil: nothing to migrate
	digest []byte        // of all that decides what to do; nil when there is no hash
	loss   consumers.Loss
}

// passwordOf converts the desired hash. One that Stytch cannot take, or whose
// address nobody verified (hazard A9: migrating would verify it), is a named loss.
func passwordOf(desired map[string]any, assumeVerified bool, digest digester) password {
	legacy := text(desired[fieldHash])
	verified, _ := desired["email_verified"].(bool)
	converted, err := hash.Convert(legacy, hash.Options{})
	var unsupported *hash.Unsupported
	switch {
	case errors.As(err, &unsupported):
		return password{hash: legacy, loss: consumers.LossHashFormat, digest: digest.of("hash", legacy, string(consumers.LossHashFormat))}
	case converted.Fields == nil:
		return password{}
	case !verified && !assumeVerified:
		return password{hash: legacy, loss: consumers.LossEmailUnverified, digest: digest.of("hash", legacy, string(consumers.LossEmailUnverified))}
	}
	return password{hash: legacy, fields: converted.Fields, digest: digest.of("hash", legacy)}
}
