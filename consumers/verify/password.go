package verify

import (
	"slices"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
)

// The losses of a password that is not the one of the legacy system, and may be.
const (
	lossChanged = consumers.Loss("password_changed_in_stytch") // the person set another one there
	lossShared  = consumers.LossCrossOrgPassword
)

// passwordState is what can be said of a member's password. Stytch shows no hash:
// the id of the password tells whether it is the one that we caused.
type passwordState int

const (
	passwordFine    passwordState = iota
	passwordWrong                 // to be set, or removed, by us
	passwordForeign               // somebody else set it
	passwordUnknown               // the ledger has no id to compare with
)

// passwordOf judges a member's password by the rules of passwords/migrate: a hash of
// a type that Stytch takes is there for those whose address the legacy system
// verified, under the id that our call was answered with.
func passwordOf(e *ledger.Expectation, m *stytch.Member, assumeVerified bool) passwordState {
	legacy, mapped := e.Desired["password_hash"]
	ours := e.PasswordID != "" && m.PasswordID == e.PasswordID
	lost := func(l consumers.Loss) bool { return slices.Contains(e.Losses, l) }
	if !mapped {
		return passwordFine
	}
	converted, err := hash.Convert(text(legacy), hash.Options{})
	verified := assumeVerified || e.Desired["email_verified"] == true
	switch {
	case err != nil && !lost(consumers.LossHashFormat), err == nil && converted.Fields != nil && !verified && !lost(consumers.LossEmailUnverified):
		return passwordUnknown // a loss that nobody named
	case err != nil, !verified, converted.Fields == nil: // none is to be set; the person's own is theirs
		set := text(e.Applied["password_hash"].V)
		if ours && set != text(legacy) && !lost(lossShared) {
			return passwordWrong // one that we set should be gone
		}
		return passwordFine
	case ours:
		if set := text(e.Applied["password_hash"].V); set != text(legacy) && !lost(lossShared) {
			return passwordWrong // made of another hash
		}
		return passwordFine
	case m.PasswordID == "":
		return passwordWrong
	case lost(lossChanged):
		return passwordFine
	case e.PasswordID == "":
		return passwordUnknown
	}
	return passwordForeign
}
