package apply

import (
	"bytes"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
)

func planMember(s *subject) plan {
	exists := s.state.StytchID != ""
	if id, ok := s.state.Applied[fieldTakeBack].V.(string); ok && id != "" {
		return plan{calls: []call{{step: stepDeletePassword, password: id, sets: map[string]any{fieldTakeBack: nil}}}}
	}
	switch {
	case s.refusal != "" && s.kept.fields != nil && exists: // hazard A7
		c := migrate(s)
		c.fields, c.sets, c.restores = migration(s, stytch.Fields{fieldEmail: s.want[fieldEmail]}, s.kept.fields), map[string]any{fieldHash: s.kept.hash}, true
		return plan{calls: []call{c}}
	case s.refusal != "":
		return plan{park: s.refusal}
	case s.want == nil && !exists:
		return plan{}
	case s.want == nil && s.read == nil:
		return plan{read: true} // invariant 12
	case s.want == nil && s.read.missing:
		return plan{forget: true}
	case s.want == nil && s.foreign[fieldEmail]:
		return plan{park: consumers.ReasonForeignChange}
	case s.want == nil:
		return plan{calls: []call{{step: stepDeleteMember}}}
	case empty(s.want[fieldEmail]):
		return plan{park: consumers.ReasonMissingEmail}
	case !exists:
		if c, ok := planRescue(s); ok {
			return plan{calls: []call{c}}
		}
		return planNewMember(s)
	}
	return planChangedMember(s)
}

// planNewMember creates: with its password in one call where nobody else can have
// made the member, else first without (hazard A24).
func planNewMember(s *subject) plan {
	p := plan{losses: losses(s), digest: s.pass.digest}
	fields, sets := creation(s.want, fieldExternal, s.external)
	method := sets[fieldMFAMethod]
	delete(fields, fieldMFAMethod) // an update sets it, once there is a factor
	delete(sets, fieldMFAMethod)
	alone := s.pass.fields != nil && !s.parentAdopted && empty(s.want[fieldBreakglass]) && empty(s.want[fieldEnrolled])
	if alone {
		sets[fieldHash] = s.pass.hash
		p.calls = []call{{step: stepMigratePassword, fields: migration(s, fields, s.pass.fields), sets: sets, creates: true}}
	} else {
		p.calls = []call{{step: stepCreateMember, fields: fields, sets: sets, creates: true}}
		if s.pass.fields != nil {
			p.calls = append(p.calls, migrate(s))
		}
	}
	if !empty(method) {
		p.calls = append(p.calls, call{step: stepUpdateMember, fields: stytch.Fields{fieldMFAMethod: method}, sets: map[string]any{fieldMFAMethod: method}})
	}
	return p
}

// planChangedMember updates. What touches address, phone or password is planned
// from a fresh read, and never over what somebody else wrote (invariant 12).
func planChangedMember(s *subject) plan {
	p := plan{losses: losses(s), digest: s.pass.digest}
	fields, sets := changes(s, fieldExternal)
	_, mail := fields[fieldEmail]
	_, phone := fields[fieldPhone]
	mine := s.state.PasswordID != ""
	// The hash that is set stays when only its verification was withdrawn.
	_, known := s.state.Applied[fieldHash]
	reset := !bytes.Equal(s.pass.digest, s.state.HashDigest) &&
		(s.pass.fields != nil || mine && (!known || s.pass.hash != text(s.state.Applied[fieldHash].V)))
	if (mail || phone || reset) && s.read == nil {
		return plan{read: true}
	}
	if (mail || reset) && s.foreign[fieldEmail] || phone && s.foreign[fieldPhone] || mail && s.foreign[fieldHash] {
		return plan{park: consumers.ReasonForeignChange}
	}
	if phone && !empty(s.state.Applied[fieldPhone].V) { // an update cannot replace a number
		p.calls = append(p.calls, call{step: stepDeletePhone, sets: map[string]any{fieldPhone: ""}})
		if empty(fields[fieldPhone]) {
			delete(fields, fieldPhone)
			delete(sets, fieldPhone)
		}
	}
	if mail { // removes the password, and would retire the old address for everybody else
		fields["unlink_email"] = true
		sets[fieldHash] = nil
	}
	if len(fields) > 0 {
		p.calls = append(p.calls, call{step: stepUpdateMember, fields: fields, sets: sets})
	}
	switch {
	case mail && s.pass.fields != nil:
		p.calls = append(p.calls, migrate(s))
	case mail || !reset:
	case s.foreign[fieldHash]: // hazard A8: what the person set in Stytch is theirs
		p.losses = append(p.losses, LossForeignPassword)
	case mine && s.shared: // the old one stays, which nothing but a new address removes
		if s.pass.hash != text(s.state.Applied[fieldHash].V) {
			p.losses = append(p.losses, consumers.LossCrossOrgPassword)
		}
	default:
		p.calls = append(p.calls, resetPassword(s)...)
	}
	return p
}

// resetPassword replaces or removes the password that we set. A refused new hash
// puts the former one back (hazard A7).
func resetPassword(s *subject) []call {
	var calls []call
	if s.state.PasswordID != "" {
		calls = append(calls, call{step: stepDeletePassword, password: s.state.PasswordID, sets: map[string]any{fieldHash: nil}})
	}
	if s.pass.fields != nil {
		calls = append(calls, migrate(s))
	}
	return calls
}

func migrate(s *subject) call {
	return call{
		step: stepMigratePassword, fields: migration(s, stytch.Fields{fieldEmail: s.want[fieldEmail]}, s.pass.fields),
		sets: map[string]any{fieldHash: s.pass.hash},
	}
}

// migration is a body of passwords/migrate.
func migration(s *subject, base, hash stytch.Fields) stytch.Fields {
	fields := stytch.Fields{"organization_id": s.organizationID}
	for k, v := range base {
		fields[k] = v
	}
	for k, v := range hash {
		fields[k] = v
	}
	return fields
}

// losses are what the entity is applied without (invariant 6).
func losses(s *subject) []consumers.Loss {
	var list []consumers.Loss
	if s.pass.loss != "" {
		list = append(list, s.pass.loss)
	}
	if !empty(s.want[fieldPhone]) {
		list = append(list, consumers.LossPhone)
	}
	if bytes.Equal(s.pass.digest, s.state.HashDigest) {
		for _, l := range s.state.Losses { // found once, by a read that is not repeated
			if l == LossForeignPassword && s.pass.digest != nil || l == consumers.LossCrossOrgPassword && s.state.PasswordID != "" {
				list = append(list, l)
			}
		}
	}
	return list
}
