package apply

import (
	"slices"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// answer is what a successful call said.
type answer struct {
	read    *observed // the object afterwards; nil when the call does not say
	created bool      // of a migration: the member was made
}

// took makes a call's success part of what is applied.
func (s *subject) took(c call, a answer) {
	if c.sets == nil {
		s.forget()
		return
	}
	st := s.state
	if c.creates && a.read != nil {
		st.StytchID, st.OrganizationID = a.read.id, s.organizationID
		delete(st.Applied, fieldFormer)
	}
	for name, v := range c.sets {
		switch {
		case name == fieldTakeBack && v == nil:
			delete(st.Applied, fieldTakeBack)
		case name == fieldHash:
			s.setHash(text(v), a, c.restores)
		default:
			st.Applied[name] = ledger.Value{V: v}
		}
	}
	if a.read != nil {
		s.read = a.read
		s.absorb(false)
	}
}

// setHash notes the hash that is set now; "" means that it was removed, and that
// the former one is kept until another is taken (hazard A7).
func (s *subject) setHash(hash string, a answer, restored bool) {
	st := s.state
	if hash == "" {
		if old := text(st.Applied[fieldHash].V); old != "" {
			st.Applied[fieldKeptHash] = ledger.Value{V: old}
			s.kept = passwordOf(map[string]any{fieldHash: old}, true, s.digest)
		}
		delete(st.Applied, fieldHash)
		st.PasswordID, st.HashDigest = "", nil
		if s.read != nil && !s.read.missing {
			s.read.passwordID = ""
		}
		return
	}
	delete(st.Applied, fieldKeptHash)
	st.Applied[fieldHash] = ledger.Value{V: hash}
	st.HashDigest = s.pass.digest
	if restored {
		st.HashDigest, s.kept = s.kept.digest, password{}
	}
	if a.read != nil {
		st.PasswordID = a.read.passwordID
	}
}

// forget empties what is applied: the object is gone.
func (s *subject) forget() {
	st := s.state
	keys := metadataKeys(st)
	st.Applied = lasting(st.Applied)
	if st.StytchID != "" {
		st.Applied[fieldFormer] = former{st.StytchID, st.OrganizationID, st.PasswordID, keys}.value()
	}
	st.OrganizationID, st.StytchID, st.PasswordID, st.HashDigest, st.Losses, st.Adopted = "", "", "", nil, nil, false
	s.read, s.foreign = nil, nil
}

// adopt takes over an object that was found and is ours: what it holds is the last
// applied state. Its password is ours only if a call of ours in flight set it.
func (s *subject) adopt(r *observed) {
	st := s.state
	st.StytchID, st.OrganizationID = r.id, s.organizationID
	st.Applied = lasting(st.Applied)
	old := formerOf(st.Applied)
	if old.id != r.id { // somebody else's metadata
		old.keys = nil
	}
	defer delete(st.Applied, fieldFormer)
	s.read, s.foreign = r, map[string]bool{}
	var sent map[string]any // by a call of ours in flight
	if st.Mark != nil {
		sent = st.Mark.Maybe
	}
	for name, v := range r.values {
		_, managed := s.want[name]
		_, ours := sent[name]
		switch {
		case managed, ours, name == fieldExternal, name == fieldOrgExt, slices.Contains(unique[st.Key.Kind], name): // it holds them, wanted or not
			st.Applied[name] = ledger.Value{V: known(v, st.Desired[name], sent[name], old.keys[name])}
		}
	}
	if r.passwordID == "" || s.returned(r) {
		return
	}
	if hash := text(sent[fieldHash]); hash != "" {
		s.ours(r.passwordID, hash)
		return
	}
	s.foreign[fieldHash] = true // hazard A8
}

func (s *subject) ours(id, hash string) {
	s.state.PasswordID, s.state.Applied[fieldHash] = id, ledger.Value{V: hash}
	s.state.HashDigest = s.digest.of("hash", hash)
	delete(s.state.Applied, fieldKeptHash)
}

// absorb folds a fresh read of an existing object into what is applied. Fields in
// doubt become what the read says; with all, every field does (replay --force).
// Guarded fields do so only if the value is one that we wrote or want; otherwise
// somebody else wrote it (invariant 12).
func (s *subject) absorb(all bool) {
	st, r := s.state, s.read
	s.foreign = map[string]bool{}
	var maybe map[string]any
	if st.Mark != nil {
		maybe = st.Mark.Maybe
	}
	for name, v := range r.values {
		have, has := st.Applied[name]
		doubt, inDoubt := maybe[name]
		want, wanted := s.want[name]
		switch {
		case name == fieldEmail || name == fieldPhone:
			if same(v, have.V) {
				continue
			}
			if inDoubt && same(v, doubt) || wanted && same(v, want) || name == fieldPhone && empty(v) {
				st.Applied[name] = ledger.Value{V: v}
				continue
			}
			s.foreign[name] = true
		case inDoubt || all && (has || wanted):
			st.Applied[name] = ledger.Value{V: known(v, st.Desired[name], have.V, doubt)}
		}
	}
	s.absorbPassword(maybe)
}

// absorbPassword tells our password from somebody else's by its id (hazards A7, A8).
func (s *subject) absorbPassword(maybe map[string]any) {
	st, id := s.state, s.read.passwordID
	hash := text(maybe[fieldHash])
	switch {
	case id == st.PasswordID:
	case id == "":
		s.setHash("", answer{}, false)
	case hash != "" && st.PasswordID == "": // there was none before our call
		s.ours(id, hash)
	default:
		s.foreign[fieldHash] = true
	}
}

// known leaves out of a read's metadata the keys that we never had to do with:
// they are somebody else's and are neither compared nor removed. A key that the
// mapping names is ours, even where it says null.
func known(v any, ours ...any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for _, o := range ours {
		keys, _ := o.(map[string]any)
		for k := range keys {
			if val, has := m[k]; has {
				out[k] = val
			}
		}
	}
	return out
}
